// SPDX-License-Identifier: Apache-2.0
//
// An open file of the view: what it said when it was opened, and, as with the kernel's own files,
// what it says now once somebody reads from its beginning again, as top, vmstat and free do.
// Any thread.
#ifndef CLUSTIX_DAEMON_OPEN_FILE_H_
#define CLUSTIX_DAEMON_OPEN_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "daemon/memory_account.h"
#include "lib/base/mutex.h"
#include "lib/procview/cluster_view.h"

namespace clustix::daemon {

class OpenFile {
 public:
  // A text, and what it is charged for.
  struct Captured {
    std::string text;
    MemoryAccount::Charge charge;
  };
  // `started`: ProcTree::StartOf() of what is read.
  OpenFile(const procview::Asker& opener, uint64_t started, Captured captured)
      : opener_(opener), started_(started), text_(Share(std::move(captured))) {}

  // Whose rights decide what the file says.
  const procview::Asker& opener() const { return opener_; }

  uint64_t started() const { return started_; }

  // Whether a read from the beginning is not the first one, and has to renew the text.
  bool BeginsAgain() {
    base::MutexLock lock(mutex_);
    return std::exchange(begun_, true);
  }
  void Renew(Captured captured) {
    std::shared_ptr<const std::string> renewed = Share(std::move(captured));
    base::MutexLock lock(mutex_);
    text_ = std::move(renewed);
  }
  std::shared_ptr<const std::string> text() {
    base::MutexLock lock(mutex_);
    return text_;
  }

 private:
  static std::shared_ptr<const std::string> Share(Captured captured) {
    auto shared = std::make_shared<const Captured>(std::move(captured));
    return {shared, &shared->text};  // the charge lives as long as the text
  }

  const procview::Asker opener_;
  const uint64_t started_;
  base::Mutex mutex_;  // a leaf
  std::shared_ptr<const std::string> text_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OPEN_FILE_H_
