// SPDX-License-Identifier: Apache-2.0
//
// The network of the nodes of one machine: a bridge with one veth pair per node. The bridge stands
// in a network namespace of its own, the switch, so that the host's network stays as it is. No
// process lives in the switch: the nodes' first processes hold its descriptor, and it goes with the
// last.
//
// For root, with iproute2. One thread: the calls fork.
#ifndef CLUSTIX_DAEMON_CLUSTER_NETWORK_H_
#define CLUSTIX_DAEMON_CLUSTER_NETWORK_H_

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {

// A new switch with its bridge.
absl::StatusOr<base::UniqueFd> MakeSwitch();

// Gives the network namespace of process `pid` an eth0 with the node's address and plugs it into
// the switch. What a dead node of that number has left in the switch goes first.
absl::Status PlugIn(const base::UniqueFd& network_switch, int node, pid_t pid);

// The switch that the node with the first process `pid` is plugged into.
absl::StatusOr<base::UniqueFd> OpenSwitch(pid_t pid);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_NETWORK_H_
