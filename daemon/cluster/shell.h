// SPDX-License-Identifier: Apache-2.0
//
// Runs a program on a node with the cluster's /proc over its own, for `clustix shell`. One thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_SHELL_H_
#define CLUSTIX_DAEMON_CLUSTER_SHELL_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/mounts.h"

namespace clustix::cluster {

struct ShellOptions {
  int node = 0;                   // 0: the first that runs
  std::vector<std::string> argv;  // empty: $SHELL, with a word of explanation on a terminal
  // Says why a program would have no view of the cluster on a node, before it is started: whoever
  // looks at the mount of a daemon that is stopped waits until it goes on.
  std::function<absl::Status(const Layout&, int node)> check_daemon;
};

// Whether a cluster of `up` has a node that runs in this base directory.
bool HasNodes(const Layout& layout);

// Returns what the program's exit status is for a shell. The calling process is in the node's
// namespaces afterwards, fit only to exit.
absl::StatusOr<int> RunShell(const Layout& layout, const ShellOptions& options);

// A daemon whose namespaces the calling process is in.
struct Place {
  std::string name;  // of its node
  std::string socket;
  View view;
};

// The same with the view of that daemon.
absl::StatusOr<int> RunShellAt(const Place& place, const std::vector<std::string>& argv);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_SHELL_H_
