// SPDX-License-Identifier: Apache-2.0
//
// Finds what belongs to a cluster on this machine, whatever its state file says. Only what proves
// to be ours is ours:
//  - a node's first process: its command line is what `up` gives it, down to the base directory, it
//    runs as this user, and in namespaces mode it is pid 1 of another pid namespace than ours;
//  - a clustixd in loopback mode, whose first process may have been killed: it runs as this user
//    with the config of this base directory.
// One pass over /proc: O(processes). Any thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_SCAN_H_
#define CLUSTIX_DAEMON_CLUSTER_SCAN_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/cluster/layout.h"
#include "daemon/cluster/process.h"

namespace clustix::cluster {

struct NodeProcess {
  int node = 0;
  Mode mode = Mode::kNamespaces;
  ProcessId process;
  bool starting = false;  // its `up` has not said "go" yet
};

struct Findings {
  std::vector<NodeProcess> nodes;  // first processes, by node
  std::vector<ProcessId> daemons;  // of loopback mode
  std::set<std::string> programs;  // the files that its first processes and daemons run
};

// Joins both sources: the processes that the state file names, as far as they still run, and a
// scan.
Findings Scan(const Layout& layout);

std::optional<NodeProcess> FindNode(const Findings& findings, int node);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_SCAN_H_
