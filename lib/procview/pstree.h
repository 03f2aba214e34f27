// SPDX-License-Identifier: Apache-2.0
//
// `clustix pstree`: the processes of a snapshot as a tree, the nodes at the top. Pure functions;
// any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_PSTREE_H_
#define CLUSTIX_LIB_PROCVIEW_PSTREE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/proc/snapshot.h"

namespace clustix::procview {

struct PstreeOptions {
  bool ascii = false;              // lines of |, ` and - instead of those of Unicode
  bool show_pids = false;          // -p: global pids
  bool show_args = false;          // -a: command lines
  std::vector<std::string> nodes;  // --node, each a list of ids or names; empty: all
  size_t max_line_chars = 0;       // cut longer lines; 0: never
};

// One line for each node and each process. Children stand below their parents by ascending pid; a
// process whose parent is not in the snapshot stands below its node. InvalidArgument, with a
// message for the user, for an unknown node.
absl::StatusOr<std::string> RenderPstree(const proc::ClusterSnapshot& cluster,
                                         const PstreeOptions& options);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PSTREE_H_
