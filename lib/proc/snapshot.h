// SPDX-License-Identifier: Apache-2.0
//
// What a node's /proc said at one moment, and what all nodes' said. Plain values: parsing,
// aggregation and rendering (lib/procview) are pure functions of these, so that they are tested on
// recorded ones.
#ifndef CLUSTIX_LIB_PROC_SNAPSHOT_H_
#define CLUSTIX_LIB_PROC_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace clustix::proc {

// Global pid = node * 2^22 + pid: pid_max is at most 2^22, and 511 nodes fit a positive int.
inline constexpr int kGlobalPidShift = 22;

// One process. The texts are what the kernel tells a reader without privileges (so stat holds no
// addresses), with the node's local pids. cmdline may be cut short, comm is stat's name and a
// newline.
struct ProcessRecord {
  int32_t pid = 0;
  uint32_t uid = 0;  // owner and group of /proc/PID, as the kernel reports them
  uint32_t gid = 0;
  // Its node's /proc hides it (proc(5), hidepid) from all but root, this group, and its owner if
  // that may trace it.
  bool hidden = false;
  bool seen_by_owner = false;
  uint32_t seen_by_gid = UINT32_MAX;  // UINT32_MAX: no group
  std::string stat, statm, status, cmdline, comm;

  bool operator==(const ProcessRecord&) const = default;
};

// One node's processes and node-wide files.
struct NodeSnapshot {
  uint16_t node = 0;
  std::string hostname;
  uint32_t clock_ticks = 100;  // per second, of every time in stat
  uint32_t page_bytes = 4096;
  std::string stat, meminfo, vmstat, loadavg, uptime, cpuinfo, version;
  // Empty: the node has no such file.
  std::string diskstats, partitions, swaps, filesystems, net_dev;
  std::string pressure_cpu, pressure_io, pressure_memory;
  std::string watch;      // how it learns of births and exits: "connector", or "polling" and why
  uint64_t taken_ns = 0;  // when its reading began, by the node's monotonic clock
  std::vector<ProcessRecord> processes;  // by ascending pid
};

// How a node is seen from the node that asks.
struct NodeView {
  uint16_t node = 0;
  std::string name;     // from the configuration
  std::string address;  // likewise
  std::string state;    // "self", or PeerStateName()
  bool stale = false;   // it did not answer: `snapshot` is the last one known
  uint64_t age_ms = 0;  // of `snapshot`
  std::shared_ptr<const NodeSnapshot> snapshot;  // nullptr: the node has never been heard
};

// A node without its processes, which are only counted: `view.snapshot` has none.
struct NodeSummary {
  NodeView view;
  uint32_t process_count = 0;
};

struct ClusterSnapshot {
  uint16_t self = 0;
  bool hides = false;           // some process is hidden
  std::vector<NodeView> nodes;  // by ascending id; every configured node
};

// nullptr: it has none of this pid. O(log processes).
const ProcessRecord* FindProcess(const NodeSnapshot& node, int32_t pid);

// Whether some process of the node is hidden. O(processes).
bool HidesSome(const NodeSnapshot& node);

// Whether the process's node would show it to somebody of these ids.
bool IsSeenBy(const ProcessRecord& process, uint32_t uid, uint32_t gid);

// Without the processes that are hidden from somebody of these ids: `cluster` itself if there are
// none. O(processes) if some are.
std::shared_ptr<const ClusterSnapshot> SeenBy(std::shared_ptr<const ClusterSnapshot> cluster,
                                              uint32_t uid, uint32_t gid);

}  // namespace clustix::proc

#endif  // CLUSTIX_LIB_PROC_SNAPSHOT_H_
