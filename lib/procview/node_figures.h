// SPDX-License-Identifier: Apache-2.0
//
// A node's node-wide files in a few figures, for lists and charts of nodes. Pure functions, from
// any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_NODE_FIGURES_H_
#define CLUSTIX_LIB_PROCVIEW_NODE_FIGURES_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "lib/proc/snapshot.h"

namespace clustix::procview {

// Since boot, of all processors together.
struct CpuSeconds {
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
};

// Empty where a file could not be read.
struct NodeFigures {
  std::optional<size_t> cpus;
  std::optional<CpuSeconds> cpu;
  std::optional<double> uptime_s, load_1min;
  std::optional<uint64_t> memory_total_bytes, memory_available_bytes;
};

// `snapshot`: nullptr if nothing is known of the node.
NodeFigures ReadNodeFigures(const proc::NodeSnapshot* snapshot);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_NODE_FIGURES_H_
