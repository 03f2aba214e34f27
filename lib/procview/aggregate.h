// SPDX-License-Identifier: Apache-2.0
//
// The node-wide files of the cluster's /proc, made from those of the nodes. Pure functions, from
// any thread. The rules, file by file, stand in docs/PROC.md.
//
// A node whose copy of a file cannot be parsed is left out of that file; a stale node takes part
// with the figures that it gave last.
#ifndef CLUSTIX_LIB_PROCVIEW_AGGREGATE_H_
#define CLUSTIX_LIB_PROCVIEW_AGGREGATE_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/proc/snapshot.h"
#include "lib/procview/node_files.h"
#include "lib/procview/view_clock.h"

namespace clustix::procview {

// Unavailable if no node gave a usable copy. `clock` is MakeViewClock(cluster), which a caller may
// keep as long as the snapshot.
absl::StatusOr<std::string> AggregateFile(NodeFile file, const proc::ClusterSnapshot& cluster,
                                          const ViewClock& clock);

// /proc/sys/kernel/pid_max of the view: above every global pid, so that tools size their columns.
std::string ViewPidMax(const proc::ClusterSnapshot& cluster);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_AGGREGATE_H_
