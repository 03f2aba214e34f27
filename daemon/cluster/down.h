// SPDX-License-Identifier: Apache-2.0
//
// Ends a cluster of this machine and removes every trace of it: processes (their namespaces, veths
// and bridge go with them), mounts, sockets, files. Works on what a crash or an interrupted `up`
// has left, and on nothing. One thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_DOWN_H_
#define CLUSTIX_DAEMON_CLUSTER_DOWN_H_

#include "absl/status/statusor.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/scan.h"

namespace clustix::cluster {

struct DownResult {
  int nodes = 0;           // that were running
  int killed = 0;          // processes of these that did not end when asked to
  bool leftovers = false;  // no node ran, but mounts or files were there
};

absl::StatusOr<DownResult> Down(const Layout& layout);

// The same for a caller that holds the lock of the base directory; the directory itself remains.
absl::StatusOr<DownResult> DownLocked(const Layout& layout);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_DOWN_H_
