// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/top_table.h"

#include <algorithm>
#include <unordered_map>

namespace clustix::procview {
namespace {

// The share of time in which the processors had something to do; nothing if none has passed.
std::optional<double> BusyPercent(const CpuSeconds& from, const CpuSeconds& to) {
  auto busy = [](const CpuSeconds& cpu) {
    return cpu.user + cpu.nice + cpu.system + cpu.irq + cpu.softirq + cpu.steal;
  };
  const double worked = busy(to) - busy(from);
  const double rested = to.idle + to.iowait - from.idle - from.iowait;
  if (worked < 0 || rested < 0 || worked + rested <= 0) return std::nullopt;
  return 100 * worked / (worked + rested);
}

TopNode DescribeNode(const proc::NodeView& view) {
  TopNode node;
  node.id = view.node;
  node.name = view.name;
  node.state = view.state;
  node.known = view.snapshot != nullptr;
  node.stale = view.stale;
  node.age_ms = view.age_ms;
  node.processes = node.known ? view.snapshot->processes.size() : 0;
  node.figures = ReadNodeFigures(view.snapshot.get());
  return node;
}

}  // namespace

void TopSampler::SampleNode(const TopNode& now, bool moved, double passed_s, Node* last) {
  if (!moved) return;  // the same snapshot again: the rates stay
  if (now.figures.cpu) {
    if (const auto busy = BusyPercent(last->cpu, *now.figures.cpu)) last->cpu_percent = *busy;
    last->cpu = *now.figures.cpu;
  }
  last->uptime_s += passed_s;
}

TopTable TopSampler::Sample(const proc::ClusterSnapshot& cluster) {
  TopTable table;
  std::unordered_map<uint32_t, std::string> users;
  std::map<uint16_t, double> passed_s;  // of nodes that have moved on since the last snapshot
  for (const proc::NodeView& view : cluster.nodes) {
    TopNode node = DescribeNode(view);
    Node& last = last_[node.id];
    const double uptime_s = node.figures.uptime_s.value_or(0);
    if (uptime_s < last.uptime_s) last = Node();  // it has booted since
    const double passed = uptime_s - last.uptime_s;
    SampleNode(node, passed > 0, passed, &last);
    if (passed > 0) passed_s[node.id] = passed;
    node.cpu_percent = last.cpu_percent;
    table.nodes.push_back(std::move(node));
  }
  std::map<uint16_t, std::map<int32_t, Process>> seen;
  for (PsRow& row : MakePsRows(cluster, {})) {
    const auto& before = last_[row.node].processes;
    const auto old = before.find(row.gpid);
    const bool known =
        old != before.end() && old->second.starttime_ticks == row.stat.starttime_ticks;
    Process now = {row.stat.starttime_ticks, row.cpu_time_ms, row.cpu_percent};
    if (known) {
      now.cpu_percent = old->second.cpu_percent;
      if (const auto passed = passed_s.find(row.node); passed != passed_s.end()) {
        const uint64_t spent = std::max(now.cpu_time_ms, old->second.cpu_time_ms);
        now.cpu_percent =
            double(spent - old->second.cpu_time_ms) / 10 / passed->second;  // ms to percent
      }
    }
    seen[row.node][row.gpid] = now;
    auto [user, is_new] = users.try_emplace(row.uid.effective);
    if (is_new) user->second = user_name_(row.uid.effective);
    table.processes.push_back({std::move(row), user->second, now.cpu_percent});
  }
  for (auto& [id, node] : last_) node.processes = std::move(seen[id]);
  return table;
}

}  // namespace clustix::procview
