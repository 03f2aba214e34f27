// SPDX-License-Identifier: Apache-2.0
//
// The first process of a node, seen from the outside: how `clustix up` starts `clustix node-init`
// in its new namespaces and talks to it until it runs on its own.
//
// The two share a socket. The node makes its mounts and says "ready"; the host plugs it into the
// network and says "go"; the node starts clustixd and says "started". A node whose socket closes
// before "go" ends itself, so that an interrupted `up` leaves no process behind.
//
// One thread: the calls fork.
#ifndef CLUSTIX_DAEMON_CLUSTER_NODE_H_
#define CLUSTIX_DAEMON_CLUSTER_NODE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/process.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {

// The descriptors that a node's first process starts with, after the standard three.
inline constexpr int kControlFd = 3;
inline constexpr int kSwitchFd = 4;

inline constexpr char kReady[] = "ready";
inline constexpr char kGo[] = "go";
inline constexpr char kStarted[] = "started";

struct NodeOptions {
  int node = 0;
  Mode mode = Mode::kNamespaces;
  std::string base;
};
// The arguments of `clustix node-init`, its name first, and back. The scan for leftovers relies on
// them: nothing for a command line of something else.
std::vector<std::string> NodeInitArguments(const NodeOptions& options);
std::optional<NodeOptions> ParseNodeInitArguments(const std::vector<std::string>& argv);

class StartingNode {
 public:
  // `network_switch` is given to the process to hold; not valid in loopback mode.
  static absl::StatusOr<StartingNode> Start(const Layout& layout, Mode mode, int node,
                                            const base::UniqueFd& network_switch);

  const ProcessId& process() const { return process_; }
  int node() const { return node_; }

  // Waits for a word of the process. An error it reports instead, or its death, is the status.
  absl::Status Await(const std::string& word, Deadline deadline);
  absl::Status Go();
  // Waits until the process has let go of the socket, by which a scan tells that it still starts.
  absl::Status AwaitDetached(Deadline deadline);

 private:
  int node_ = 0;
  std::string log_;
  ProcessId process_;
  base::UniqueFd control_;
};

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_NODE_H_
