// SPDX-License-Identifier: Apache-2.0
//
// This node's own /proc for everybody who asks: the cluster view here and the peers elsewhere. One
// thread collects, one collection at a time, and only while somebody wants one; whoever asks during
// a collection shares it if it is young enough. Collecting takes a tenth of a second on a machine
// with a thousand processes, which is why it never happens on the loop's thread. Looking at what
// has been born and has gone since takes whoever asks for that a millisecond.
//
// Any thread.
#ifndef CLUSTIX_DAEMON_LOCAL_PROC_H_
#define CLUSTIX_DAEMON_LOCAL_PROC_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/proc/process_changes.h"
#include "lib/proc/snapshot.h"

namespace clustix::daemon {

class LocalProc {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Collected {
    std::shared_ptr<const proc::NodeSnapshot> snapshot;
    TimePoint taken;  // when the collection began
  };
  using Collect = std::function<absl::StatusOr<proc::NodeSnapshot>()>;
  using Done = std::function<void(const absl::StatusOr<Collected>&)>;

  // procview::ProcReader::ChangesSince(), but for how much it may read.
  using Look = std::function<absl::StatusOr<proc::ProcessChanges>(const proc::NodeSnapshot& known,
                                                                  std::vector<int32_t> again)>;

  static constexpr size_t kWaitingMax = 1024;

  // `collect` runs on a thread of this object, `look` on those of who looks.
  LocalProc(Collect collect, Look look);
  ~LocalProc() { Stop(); }
  LocalProc(const LocalProc&) = delete;
  LocalProc& operator=(const LocalProc&) = delete;

  // Hands `done` a collection that began at most `max_age` before this call; at once, or later on
  // the collecting thread. kResourceExhausted, at once, if kWaitingMax wait already.
  // kCancelled after Stop().
  void Get(std::chrono::milliseconds max_age, Done done);

  // What has changed since `known`, as of now; blocks on /proc, as long as collecting may.
  absl::StatusOr<proc::ProcessChanges> LookSince(const proc::NodeSnapshot& known,
                                                 std::vector<int32_t> again) const {
    return look_(known, std::move(again));
  }

  // Everybody who still waits gets kCancelled; when it returns, no `done` runs any more. Not on the
  // collecting thread.
  void Stop();

 private:
  struct Waiting {
    TimePoint oldest;  // a collection that began no earlier will do
    Done done;
  };

  void Run();
  absl::StatusOr<Collected> CollectSince(TimePoint taken);
  // Takes out those whom a collection begun at `taken` serves.
  std::vector<Done> TakeServed(TimePoint taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Collect collect_;
  const Look look_;
  base::Mutex mutex_;
  std::condition_variable_any wake_;
  Collected last_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_LOCAL_PROC_H_
