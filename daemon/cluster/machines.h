// SPDX-License-Identifier: Apache-2.0
//
// Ends the virtual machines that `./up --vm` has started (tests/vm/cluster.py). One process keeps
// them; it is the first of namespaces of its own, so that its end is the end of the machines and of
// their network. Beside the base directory, in BASE-vm, are its socket, `control`, and all of its
// files. One thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_MACHINES_H_
#define CLUSTIX_DAEMON_CLUSTER_MACHINES_H_

#include "absl/status/statusor.h"
#include "daemon/cluster/layout.h"

namespace clustix::cluster {

// Whether there were any, or files of some.
absl::StatusOr<bool> DownMachines(const Layout& layout);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_MACHINES_H_
