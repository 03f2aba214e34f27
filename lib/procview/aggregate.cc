// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/aggregate.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "lib/procview/device_files.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

void AddColumns(const std::vector<uint64_t>& from, std::vector<uint64_t>* to) {
  if (to->size() < from.size()) to->resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) (*to)[i] += from[i];
}

void AppendColumns(const std::vector<uint64_t>& columns, std::string* out) {
  for (uint64_t value : columns) out->append(" ").append(std::to_string(value));
  out->push_back('\n');
}

// The parsed copies of a file, one for each node that has a good one, with its view.
template <typename T, typename Parse>
std::vector<std::pair<const proc::NodeView*, T>> ParseAll(const proc::ClusterSnapshot& cluster,
                                                          std::string proc::NodeSnapshot::*text,
                                                          Parse parse) {
  std::vector<std::pair<const proc::NodeView*, T>> all;
  for (const proc::NodeView& node : cluster.nodes) {
    if (!node.snapshot) continue;
    absl::StatusOr<T> parsed = parse((*node.snapshot).*text);
    if (parsed.ok()) all.emplace_back(&node, *std::move(parsed));
  }
  return all;
}

std::string AggregateStat(const proc::ClusterSnapshot& cluster) {
  const auto all = ParseAll<NodeStat>(cluster, &proc::NodeSnapshot::stat, ParseNodeStat);
  if (all.empty()) return {};
  NodeStat sum;
  sum.boot_time_s = std::numeric_limits<uint64_t>::max();
  for (const auto& [node, stat] : all) {
    AddColumns(stat.all_cpus, &sum.all_cpus);
    sum.each_cpu.insert(sum.each_cpu.end(), stat.each_cpu.begin(), stat.each_cpu.end());
    AddColumns(stat.softirqs, &sum.softirqs);
    sum.interrupts += stat.interrupts;
    sum.context_switches += stat.context_switches;
    sum.forks += stat.forks;
    sum.running += stat.running;
    sum.blocked += stat.blocked;
    sum.boot_time_s = std::min(sum.boot_time_s, stat.boot_time_s);
  }
  std::string out = "cpu ";
  AppendColumns(sum.all_cpus, &out);
  for (size_t i = 0; i < sum.each_cpu.size(); ++i) {
    out.append("cpu").append(std::to_string(i));
    AppendColumns(sum.each_cpu[i], &out);
  }
  auto line = [&out](const char* key, uint64_t value) {
    out.append(key).append(" ").append(std::to_string(value)).append("\n");
  };
  line("intr", sum.interrupts);  // the total only: interrupt numbers differ from node to node
  line("ctxt", sum.context_switches);
  line("btime", sum.boot_time_s);
  line("processes", sum.forks);
  line("procs_running", sum.running);
  line("procs_blocked", sum.blocked);
  out.append("softirq");
  AppendColumns(sum.softirqs, &out);
  return out;
}

// Sizes of a unit, not amounts: the sum of two nodes' huge page sizes means nothing.
bool IsUnitSize(std::string_view key) { return key == "Hugepagesize"; }

// Thresholds and amounts add up key by key; a key keeps the place where it was seen first.
std::vector<Figure> SumFigures(const proc::ClusterSnapshot& cluster,
                               std::string proc::NodeSnapshot::*text) {
  std::vector<Figure> sum;
  std::unordered_map<std::string, size_t> place;
  for (const auto& [node, figures] : ParseAll<std::vector<Figure>>(cluster, text, ParseFigures)) {
    for (const Figure& figure : figures) {
      const auto [it, added] = place.emplace(figure.key, sum.size());
      if (added) {
        sum.push_back(figure);
      } else if (IsUnitSize(figure.key)) {
        sum[it->second].value = std::max(sum[it->second].value, figure.value);
      } else {
        sum[it->second].value += figure.value;
      }
    }
  }
  return sum;
}

std::string AggregateMeminfo(const proc::ClusterSnapshot& cluster) {
  std::string out;
  for (const Figure& figure : SumFigures(cluster, &proc::NodeSnapshot::meminfo)) {
    char line[128];
    std::snprintf(line, sizeof line, "%-15s %8llu%s%s\n", (figure.key + ":").c_str(),
                  static_cast<unsigned long long>(figure.value), figure.unit.empty() ? "" : " ",
                  figure.unit.c_str());
    out.append(line);
  }
  return out;
}

std::string AggregateVmstat(const proc::ClusterSnapshot& cluster) {
  std::string out;
  for (const Figure& figure : SumFigures(cluster, &proc::NodeSnapshot::vmstat)) {
    out.append(figure.key).append(" ").append(std::to_string(figure.value)).append("\n");
  }
  return out;
}

std::string AggregateLoad(const proc::ClusterSnapshot& cluster) {
  const auto all = ParseAll<LoadAverage>(cluster, &proc::NodeSnapshot::loadavg, ParseLoadAverage);
  if (all.empty()) return {};
  LoadAverage sum;
  for (const auto& [node, load] : all) {
    for (size_t i = 0; i < sum.load.size(); ++i) sum.load[i] += load.load[i];
    sum.running += load.running;
    sum.total += load.total;
    if (node->node == cluster.self || sum.last_pid == 0) {
      sum.last_pid = GlobalPid(node->node, load.last_pid);
    }
  }
  char line[160];
  std::snprintf(line, sizeof line, "%.2f %.2f %.2f %llu/%llu %d\n", sum.load[0], sum.load[1],
                sum.load[2], static_cast<unsigned long long>(sum.running),
                static_cast<unsigned long long>(sum.total), sum.last_pid);
  return line;
}

std::string AggregateUptime(const ViewClock& clock) {
  if (clock.nodes.empty()) return {};
  char line[80];
  std::snprintf(line, sizeof line, "%.2f %.2f\n", clock.uptime_s, clock.idle_s);
  return line;
}

// "key<tabs>: value" lines in blocks. Processors and sockets are numbered through, so that a tool
// that counts either counts all of them.
std::string AggregateCpuinfo(const proc::ClusterSnapshot& cluster) {
  std::string out;
  uint64_t processors = 0, sockets = 0;
  for (const proc::NodeView& node : cluster.nodes) {
    if (!node.snapshot) continue;
    uint64_t node_sockets = 0;
    std::string_view text = node.snapshot->cpuinfo;
    while (const auto line = NextLine(&text)) {
      const size_t colon = std::min(line->find(':'), line->size());
      const std::string_view key = line->substr(0, line->find_last_not_of(" \t", colon - 1) + 1);
      std::string_view value = line->substr(std::min(colon + 1, line->size()));
      const auto number = ParseNumber<uint32_t>(NextWord(&value));
      if (colon > 0 && key == "processor" && number) {
        out.append(line->substr(0, colon)).append(": ").append(std::to_string(processors++));
      } else if (colon > 0 && key == "physical id" && number) {
        node_sockets = std::max<uint64_t>(node_sockets, uint64_t{*number} + 1);
        out.append(line->substr(0, colon)).append(": ").append(std::to_string(sockets + *number));
      } else {
        out.append(*line);
      }
      out.push_back('\n');
    }
    sockets += node_sockets;
  }
  return out;
}

std::string OwnVersion(const proc::ClusterSnapshot& cluster) {
  for (const proc::NodeView& node : cluster.nodes) {
    if (node.node == cluster.self && node.snapshot) return node.snapshot->version;
  }
  return {};
}

std::string Aggregate(NodeFile file, const proc::ClusterSnapshot& cluster, const ViewClock& clock) {
  switch (file) {
    case NodeFile::kStat:
      return AggregateStat(cluster);
    case NodeFile::kMeminfo:
      return AggregateMeminfo(cluster);
    case NodeFile::kVmstat:
      return AggregateVmstat(cluster);
    case NodeFile::kLoadavg:
      return AggregateLoad(cluster);
    case NodeFile::kUptime:
      return AggregateUptime(clock);
    case NodeFile::kCpuinfo:
      return AggregateCpuinfo(cluster);
    case NodeFile::kVersion:
      return OwnVersion(cluster);
    case NodeFile::kDiskstats:
      return AggregateDiskstats(cluster);
    case NodeFile::kPartitions:
      return AggregatePartitions(cluster);
    case NodeFile::kSwaps:
      return AggregateSwaps(cluster);
    case NodeFile::kFilesystems:
      return AggregateFilesystems(cluster);
    case NodeFile::kNetDev:
      return AggregateNetDev(cluster);
    case NodeFile::kPressureCpu:
    case NodeFile::kPressureIo:
    case NodeFile::kPressureMemory:
      return AggregatePressure(cluster, kNodeFiles[static_cast<size_t>(file)].text);
  }
  return {};
}

}  // namespace

absl::StatusOr<std::string> AggregateFile(NodeFile file, const proc::ClusterSnapshot& cluster,
                                          const ViewClock& clock) {
  std::string text = Aggregate(file, cluster, clock);
  if (text.empty()) {
    return absl::UnavailableError(std::string("no node gave a usable /proc/") +
                                  NodeFilePath(kNodeFiles[static_cast<size_t>(file)]));
  }
  return text;
}

std::string ViewPidMax(const proc::ClusterSnapshot& cluster) {
  uint16_t largest = 1;
  for (const proc::NodeView& node : cluster.nodes) largest = std::max(largest, node.node);
  const int64_t limit = (int64_t{largest} + 1) << proc::kGlobalPidShift;
  return std::to_string(std::min<int64_t>(limit, std::numeric_limits<int32_t>::max())) + "\n";
}

}  // namespace clustix::procview
