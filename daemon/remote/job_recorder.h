// SPDX-License-Identifier: Apache-2.0
//
// Writes into the user's jobs that his program runs, and how it ended. It holds up nobody: a thread
// writes, and tries again while it cannot, because object sets are not in service, or a node that
// is to have a copy does not answer.
//
// For a session, with the user's rights, after it has forked its program. One thread.
#ifndef CLUSTIX_DAEMON_REMOTE_JOB_RECORDER_H_
#define CLUSTIX_DAEMON_REMOTE_JOB_RECORDER_H_

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/remote/job.h"
#include "lib/base/mutex.h"

namespace clustix::remote {

class JobRecorder {
 public:
  // Each of connecting, opening and writing may take this long.
  static constexpr uint64_t kPatienceMs = 2000;
  // How long it is tried again once all is over.
  static constexpr std::chrono::seconds kPersistence{10};

  // `daemon_socket`: of this node's daemon; empty: nothing is written.
  JobRecorder(std::string daemon_socket, NodeId caller)
      : daemon_socket_(std::move(daemon_socket)), caller_(caller) {}
  // Waits until what is known is written, or has been tried for kPersistence.
  ~JobRecorder();

  // The program runs. Where there is no room for another thread, nothing is written.
  void Began(pid_t pid, const std::vector<std::string>& argv);
  // It has ended, with this status as of waitpid(). What is said again does not count.
  void Ended(int status);

 private:
  // What has been written so far.
  struct Written {
    NodeId node = 0;
    uint64_t serial = 0;  // 0: nothing
    uint32_t set = 0;
  };
  enum class Attempt : uint8_t { kDone, kFailed, kForgotten };

  void Write();
  Attempt Try(Job job, Written* written);
  // A copy of the job once there is something new to say; nothing: there never will be.
  std::optional<Job> AwaitNews(bool begun);
  // False: no more.
  bool Pause(std::chrono::milliseconds time);

  const std::string daemon_socket_;
  const NodeId caller_;
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  Job job_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::chrono::steady_clock::time_point> until_ ABSL_GUARDED_BY(mutex_);
  std::thread writer_;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_JOB_RECORDER_H_
