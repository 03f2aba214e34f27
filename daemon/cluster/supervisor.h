// SPDX-License-Identifier: Apache-2.0
//
// The first process of a node, from the inside: `clustix node-init`. It sets the node up, starts
// clustixd and a few processes to look at, starts clustixd again when that dies, reaps whatever is
// left to it, and on SIGTERM ends the node. In namespaces mode it is pid 1: when it dies, the
// kernel ends the node. In loopback mode it is a plain process that adopts clustixd's orphans.
#ifndef CLUSTIX_DAEMON_CLUSTER_SUPERVISOR_H_
#define CLUSTIX_DAEMON_CLUSTER_SUPERVISOR_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/node.h"
#include "daemon/cluster/process.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {

// When to start a program again that has died: at once at first, then ever later while it keeps
// dying soon. Pure.
class Backoff {
 public:
  static constexpr std::chrono::milliseconds kFirst{100};
  static constexpr std::chrono::milliseconds kLongest{5000};
  // A program that has run for so long counts as healthy.
  static constexpr std::chrono::milliseconds kHealthy{10000};

  std::chrono::milliseconds Next(std::chrono::milliseconds ran);

 private:
  std::chrono::milliseconds next_ = kFirst;
};

class Supervisor {
 public:
  explicit Supervisor(const NodeOptions& options);

  // Runs the node to its end; returns the exit code.
  int Run();

 private:
  absl::Status Prepare();
  absl::Status Tell(const std::string& text);
  // False: the socket closed before the word came.
  bool AwaitGo();
  void StartDaemon();
  void StartCompanions();
  // A quiet one writes to nowhere, others to the log. -1 if it cannot be started; said in the log.
  pid_t Spawn(const std::vector<std::string>& argv, uid_t uid, bool quiet);
  void Reap();
  void ClearTraces();
  void Loop();
  void EndNode();

  NodeOptions options_;
  Layout layout_;
  base::UniqueFd control_;
  base::UniqueFd switch_;  // held, never used: the bridge lives as long as someone does
  base::UniqueFd signals_;
  pid_t daemon_ = 0;
  Deadline daemon_started_;
  std::optional<Deadline> restart_at_;
  Backoff backoff_;
  bool stopping_ = false;
};

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_SUPERVISOR_H_
