// SPDX-License-Identifier: Apache-2.0
//
// One clock for processes of machines that booted at different times. Pure functions, from any
// thread.
//
// Tools compute a start time as btime + starttime, and an age as uptime - starttime, from one stat
// and one uptime file. The view therefore has a boot of its own: that of the node that booted first
// (the smallest btime, each by its node's clock). Its uptime is that node's. A process of a node
// that booted d seconds later gets d seconds added to starttime; then both sums come out right, up
// to the difference between the nodes' wall clocks.
#ifndef CLUSTIX_LIB_PROCVIEW_VIEW_CLOCK_H_
#define CLUSTIX_LIB_PROCVIEW_VIEW_CLOCK_H_

#include <cstdint>
#include <map>

#include "lib/proc/snapshot.h"

namespace clustix::procview {

struct NodeClock {
  uint64_t boot_time_s = 0;
  double uptime_s = 0;  // now: at the snapshot, plus its age
  double idle_s = 0;    // at the snapshot
};

struct ViewClock {
  uint64_t boot_time_s = 0;
  double uptime_s = 0;
  double idle_s = 0;                    // the sum
  std::map<uint16_t, NodeClock> nodes;  // those whose stat and uptime could be read

  // What to add to starttime of a process of `node`; 0 for a node without a clock.
  int64_t BootShiftTicks(uint16_t node, uint32_t ticks_per_s) const;
};

ViewClock MakeViewClock(const proc::ClusterSnapshot& cluster);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_VIEW_CLOCK_H_
