// SPDX-License-Identifier: Apache-2.0
//
// The mounts of a cluster on one machine.
//
// On the host there is one bind mount per node, of the node's runtime directory on itself, in a
// peer group of its own. The node's mount namespace holds the other member of the group: what
// clustixd mounts there at `proc` appears on the host too, and nothing else does. The other mounts
// of a node are slaves of the host's (an unmount on the host must not be held up by a node), and of
// the clusters' directories it sees its own only.
//
// Everything here is for root. One thread: the calls change the namespace of the process.
#ifndef CLUSTIX_DAEMON_CLUSTER_MOUNTS_H_
#define CLUSTIX_DAEMON_CLUSTER_MOUNTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/cluster/layout.h"

namespace clustix::cluster {

// The mount points of /proc/self/mountinfo that are `path` or below it, in the order of their
// mounting; one that has been mounted over several times is listed as often.
std::vector<std::string> MountPoints(const std::string& path);

// Turns a node's directory into the shared mount described above. Idempotent.
absl::Status ShareNodeDir(const Layout& layout, int node);

// Detaches everything that is mounted at `path` or below. Works where a FUSE server is dead.
absl::Status DetachMounts(const std::string& path);

// Called in the new mount namespace of a node: /proc, /sys, /dev/shm and /dev/mqueue of its own,
// and the base directory with this node's things only.
absl::Status MakeNodeMounts(const Layout& layout, int node);

// Called by a process in a node's namespaces, or on a machine of its own user namespace: makes a
// new mount namespace in which the cluster's /proc of `node` covers /proc, also after a restart of
// clustixd, and the /proc of before is at layout.LocalProc().
absl::Status CoverProc(const Layout& layout, int node);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_MOUNTS_H_
