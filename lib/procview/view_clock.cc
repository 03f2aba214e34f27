// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/view_clock.h"

#include "lib/procview/node_files.h"

namespace clustix::procview {

int64_t ViewClock::BootShiftTicks(uint16_t node, uint32_t ticks_per_s) const {
  const auto it = nodes.find(node);
  if (it == nodes.end()) return 0;
  return static_cast<int64_t>(it->second.boot_time_s - boot_time_s) * ticks_per_s;
}

ViewClock MakeViewClock(const proc::ClusterSnapshot& cluster) {
  ViewClock view;
  for (const proc::NodeView& node : cluster.nodes) {
    if (!node.snapshot) continue;
    const auto stat = ParseNodeStat(node.snapshot->stat);
    const auto uptime = ParseUptime(node.snapshot->uptime);
    if (!stat.ok() || !uptime.ok()) continue;
    const NodeClock clock = {stat->boot_time_s, uptime->up_s + double(node.age_ms) / 1000,
                             uptime->idle_s};
    // Of nodes that booted within the same second, the longest uptime keeps every age positive.
    const bool first = view.nodes.empty() || clock.boot_time_s < view.boot_time_s ||
                       (clock.boot_time_s == view.boot_time_s && clock.uptime_s > view.uptime_s);
    if (first) {
      view.boot_time_s = clock.boot_time_s;
      view.uptime_s = clock.uptime_s;
    }
    view.idle_s += clock.idle_s;
    view.nodes.emplace(node.node, clock);
  }
  return view;
}

}  // namespace clustix::procview
