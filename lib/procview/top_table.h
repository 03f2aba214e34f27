// SPDX-License-Identifier: Apache-2.0
//
// What `clustix top` shows: nodes and processes with their use of processors between two snapshots.
// Pure functions, from any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_TOP_TABLE_H_
#define CLUSTIX_LIB_PROCVIEW_TOP_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/proc/snapshot.h"
#include "lib/procview/node_figures.h"
#include "lib/procview/ps_row.h"

namespace clustix::procview {

struct TopNode {
  uint16_t id = 0;
  std::string name, state;
  bool known = false, stale = false;
  uint64_t age_ms = 0;
  size_t processes = 0;
  std::optional<double> cpu_percent;  // of all its processors together
  NodeFigures figures;
};

struct TopProcess {
  PsRow row;
  std::string user;
  double cpu_percent = 0;  // of one processor, as top(1) has it
};

struct TopTable {
  std::vector<TopNode> nodes;
  std::vector<TopProcess> processes;  // by ascending global pid
};

// Turns one snapshot after the other into tables. Rates are those between the last two in which a
// node's figures differ; of the first one, since the process or the node started.
class TopSampler {
 public:
  explicit TopSampler(std::function<std::string(uint32_t)> user_name)
      : user_name_(std::move(user_name)) {}
  TopTable Sample(const proc::ClusterSnapshot& cluster);

 private:
  struct Process {
    uint64_t starttime_ticks = 0;  // with its pid, who it is
    uint64_t cpu_time_ms = 0;
    double cpu_percent = 0;
  };
  struct Node {
    double uptime_s = 0;
    CpuSeconds cpu;
    std::optional<double> cpu_percent;
    std::map<int32_t, Process> processes;  // by global pid
  };

  void SampleNode(const TopNode& now, bool moved, double passed_s, Node* last);

  std::function<std::string(uint32_t)> user_name_;
  std::map<uint16_t, Node> last_;
};

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_TOP_TABLE_H_
