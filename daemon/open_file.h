// SPDX-License-Identifier: Apache-2.0
//
// An open file of the view: what it said when it was opened, and, as with the kernel's own files,
// what it says now once somebody reads from its beginning again, as top, vmstat and free do.
// Any thread.
#ifndef CLUSTIX_DAEMON_OPEN_FILE_H_
#define CLUSTIX_DAEMON_OPEN_FILE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "lib/base/mutex.h"
#include "lib/procview/cluster_view.h"

namespace clustix::daemon {

class OpenFile {
 public:
  OpenFile(const procview::Asker& opener, std::string text)
      : opener_(opener), text_(std::make_shared<const std::string>(std::move(text))) {}

  // Whose rights decide what the file says.
  const procview::Asker& opener() const { return opener_; }

  // Whether a read from the beginning is not the first one, and has to renew the text.
  bool BeginsAgain() {
    base::MutexLock lock(mutex_);
    return std::exchange(begun_, true);
  }
  void Renew(std::string text) {
    auto renewed = std::make_shared<const std::string>(std::move(text));
    base::MutexLock lock(mutex_);
    text_ = std::move(renewed);
  }
  std::shared_ptr<const std::string> text() {
    base::MutexLock lock(mutex_);
    return text_;
  }

 private:
  const procview::Asker opener_;
  base::Mutex mutex_;  // a leaf
  std::shared_ptr<const std::string> text_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OPEN_FILE_H_
