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

// Where a daemon has its view of the cluster's /proc.
struct View {
  std::string dir;         // the daemon's runtime directory
  std::string mount;       // the view, in `dir`
  std::string local_proc;  // an empty directory, for the /proc that the view covers
};

// Called by a process in a node's namespaces, or on a machine of its own user namespace: makes a
// new mount namespace in which the view covers /proc, and the /proc of before is at
// `view.local_proc`. Where ShareNodeDir() has prepared `view.dir`, what a restarted clustixd mounts
// covers /proc as well.
absl::Status CoverProc(const View& view);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_MOUNTS_H_
