// SPDX-License-Identifier: Apache-2.0
//
// Starts a cluster on this machine, or completes one of which a part has died. Idempotent. What has
// to do with the daemon's own protocol and config comes in as functions, so that this folder knows
// about processes, namespaces and mounts only. One thread: the calls fork.
#ifndef CLUSTIX_DAEMON_CLUSTER_UP_H_
#define CLUSTIX_DAEMON_CLUSTER_UP_H_

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/cluster/layout.h"

namespace clustix::cluster {

struct NodeAddress {
  int node = 0;
  std::string name;
  std::string address;  // IP:port
};

struct UpOptions {
  int nodes = 0;  // 0: as many as run already, else kDefaultNodes
  bool loopback = false;
  bool same_build = false;  // a cluster that runs other program files is restarted
};

struct UpHooks {
  // Writes layout.ConfigFile() and KeyFile().
  std::function<absl::Status(const Layout&, const std::vector<NodeAddress>&)> write_config;
  // Waits until the daemon behind a socket runs and sees all nodes as up, but no longer than
  // `patience`: how many they are, itself included. kUnavailable: it went away meanwhile.
  std::function<absl::StatusOr<int>(const std::string& socket, std::chrono::milliseconds patience)>
      nodes_up;
  // One line of progress.
  std::function<void(const std::string&)> progress;
};

struct UpResult {
  Mode mode = Mode::kNamespaces;
  int nodes = 0;
  int started = 0;           // by this call; 0: all ran already
  std::string why_loopback;  // why there are no namespaces, if there are none
};

// Starts the nodes. kFailedPrecondition if a cluster of another shape runs already.
absl::StatusOr<UpResult> Up(const Layout& layout, const UpOptions& options, const UpHooks& hooks);

// Waits until every node sees all nodes as up. kDeadlineExceeded says which does not.
absl::Status AwaitWhole(const Layout& layout, int nodes, const UpHooks& hooks,
                        std::chrono::milliseconds patience);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_UP_H_
