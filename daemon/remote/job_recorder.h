// SPDX-License-Identifier: Apache-2.0
//
// Writes into the user's jobs that his program runs, and how it ended. It holds up nobody: what
// cannot be written within seconds, for object sets are not in service, is not written.
//
// For a session, with the user's rights, after it has forked its program: it uses a thread. One
// thread otherwise.
#ifndef CLUSTIX_DAEMON_REMOTE_JOB_RECORDER_H_
#define CLUSTIX_DAEMON_REMOTE_JOB_RECORDER_H_

#include <sys/types.h>

#include <string>
#include <thread>
#include <vector>

#include "daemon/remote/job.h"

namespace clustix::remote {

class JobRecorder {
 public:
  // Each of connecting, opening and writing may take this long.
  static constexpr uint64_t kPatienceMs = 2000;

  // `daemon_socket`: of this node's daemon; empty: nothing is written.
  JobRecorder(std::string daemon_socket, NodeId caller)
      : daemon_socket_(std::move(daemon_socket)), caller_(caller) {}
  ~JobRecorder();

  // The program runs. Returns at once.
  void Began(pid_t pid, const std::vector<std::string>& argv);
  // It has ended, with this status as of waitpid(). Waits until that is written.
  void Ended(int status);

 private:
  void Add();

  const std::string daemon_socket_;
  const NodeId caller_;
  std::thread adding_;
  Job job_;  // the thread's while there is one; a serial number of 0: not written
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_JOB_RECORDER_H_
