// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/device_files.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

// Where the name stands in a line; nothing: the line is malformed.
struct Place {
  size_t begin, length;
};
using FindName = std::optional<Place> (*)(std::string_view line);

std::optional<Place> NthWord(std::string_view line, int n) {
  std::string_view rest = line, word;
  for (int i = 0; i < n; ++i) word = NextWord(&rest);
  if (word.empty()) return std::nullopt;
  return Place{static_cast<size_t>(word.data() - line.data()), word.size()};
}

bool StartsWithNumbers(std::string_view line, int count) {
  for (int i = 0; i < count; ++i) {
    if (!ParseNumber<uint64_t>(NextWord(&line))) return false;
  }
  return true;
}

// "   8       0 sda 1 2 3 ..."
std::optional<Place> DiskName(std::string_view line) {
  return StartsWithNumbers(line, 2) ? NthWord(line, 3) : std::nullopt;
}

// "   8        0  500107608 sda"
std::optional<Place> PartitionName(std::string_view line) {
  return StartsWithNumbers(line, 3) ? NthWord(line, 4) : std::nullopt;
}

// "/dev/sda2     partition     8388604     0     -2"
std::optional<Place> SwapName(std::string_view line) {
  return NthWord(line, 5) ? NthWord(line, 1) : std::nullopt;
}

// "  eth0: 1 2 3 ..."
std::optional<Place> InterfaceName(std::string_view line) {
  const std::optional<Place> word = NthWord(line, 1);
  const size_t colon = line.find(':');
  if (!word || colon == std::string_view::npos || colon <= word->begin) return std::nullopt;
  return Place{word->begin, colon - word->begin};
}

// The whole lines of a text; nothing if it is cut short.
std::optional<std::vector<std::string_view>> Lines(std::string_view text) {
  if (text.empty() || text.back() != '\n') return std::nullopt;
  std::vector<std::string_view> lines;
  while (const auto line = NextLine(&text)) lines.push_back(*line);
  return lines;
}

// One node's list with its id before every name; nothing if it is malformed.
std::optional<std::string> NameNode(const std::vector<std::string_view>& lines, size_t headers,
                                    const std::string& prefix, FindName find) {
  std::string out;
  for (size_t i = headers; i < lines.size(); ++i) {
    const std::optional<Place> name = find(lines[i]);
    if (!name) return std::nullopt;
    out.append(lines[i].substr(0, name->begin)).append(prefix);
    out.append(lines[i].substr(name->begin)).append("\n");
  }
  return out;
}

// The lists one after the other, below the header of the first.
std::string Concatenate(const proc::ClusterSnapshot& cluster, NodeText text, size_t headers,
                        const char* separator, FindName find) {
  std::string header, out;
  for (const proc::NodeView& node : cluster.nodes) {
    if (!node.snapshot) continue;
    const auto lines = Lines((*node.snapshot).*text);
    if (!lines || lines->size() < headers) continue;
    const auto list = NameNode(*lines, headers, std::to_string(node.node) + separator, find);
    if (!list) continue;
    if (header.empty()) {
      for (size_t i = 0; i < headers; ++i) header.append((*lines)[i]).append("\n");
    }
    out.append(*list);
  }
  return header + out;
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
struct Pressure {
  std::string kind;
  std::array<double, 3> averages = {};
  uint64_t total_us = 0;
};

std::optional<Pressure> ParsePressure(std::string_view line) {
  static constexpr std::array<std::string_view, 3> kAverages = {"avg10=", "avg60=", "avg300="};
  Pressure pressure;
  pressure.kind = NextWord(&line);
  for (size_t i = 0; i < kAverages.size(); ++i) {
    const std::string_view word = NextWord(&line);
    if (!word.starts_with(kAverages[i])) return std::nullopt;
    const auto value = ParseNumber<double>(word.substr(kAverages[i].size()));
    if (!value || !(*value >= 0 && *value <= 100)) return std::nullopt;
    pressure.averages[i] = *value;
  }
  const std::string_view total = NextWord(&line);
  if (!total.starts_with("total=")) return std::nullopt;
  const auto value = ParseNumber<uint64_t>(total.substr(6));
  if (!value) return std::nullopt;
  pressure.total_us = *value;
  return pressure;
}

std::optional<std::vector<Pressure>> ParsePressures(std::string_view text) {
  const auto lines = Lines(text);
  if (!lines) return std::nullopt;
  std::vector<Pressure> pressures;
  for (std::string_view line : *lines) {
    const auto pressure = ParsePressure(line);
    if (!pressure) return std::nullopt;
    pressures.push_back(*pressure);
  }
  return pressures;
}

void Merge(const Pressure& one, std::vector<Pressure>* all) {
  const auto same = std::find_if(all->begin(), all->end(),
                                 [&one](const Pressure& other) { return other.kind == one.kind; });
  if (same == all->end()) {
    all->push_back(one);
    return;
  }
  for (size_t i = 0; i < one.averages.size(); ++i) {
    same->averages[i] = std::max(same->averages[i], one.averages[i]);
  }
  same->total_us += one.total_us;
}

}  // namespace

std::string AggregateDiskstats(const proc::ClusterSnapshot& cluster) {
  return Concatenate(cluster, &proc::NodeSnapshot::diskstats, 0, ".", DiskName);
}

std::string AggregatePartitions(const proc::ClusterSnapshot& cluster) {
  return Concatenate(cluster, &proc::NodeSnapshot::partitions, 2, ".", PartitionName);
}

std::string AggregateSwaps(const proc::ClusterSnapshot& cluster) {
  return Concatenate(cluster, &proc::NodeSnapshot::swaps, 1, ":", SwapName);
}

std::string AggregateNetDev(const proc::ClusterSnapshot& cluster) {
  return Concatenate(cluster, &proc::NodeSnapshot::net_dev, 2, ".", InterfaceName);
}

std::string AggregateFilesystems(const proc::ClusterSnapshot& cluster) {
  std::string out;
  std::set<std::string_view> seen;
  for (const proc::NodeView& node : cluster.nodes) {
    if (!node.snapshot) continue;
    const auto lines = Lines(node.snapshot->filesystems);
    if (!lines) continue;
    for (std::string_view line : *lines) {
      if (seen.insert(line).second) out.append(line).append("\n");
    }
  }
  return out;
}

std::string AggregatePressure(const proc::ClusterSnapshot& cluster, NodeText text) {
  std::vector<Pressure> all;
  for (const proc::NodeView& node : cluster.nodes) {
    if (!node.snapshot) continue;
    const auto pressures = ParsePressures((*node.snapshot).*text);
    if (!pressures) continue;
    for (const Pressure& pressure : *pressures) Merge(pressure, &all);
  }
  std::string out;
  for (const Pressure& pressure : all) {
    char figures[128];
    std::snprintf(figures, sizeof figures, " avg10=%.2f avg60=%.2f avg300=%.2f total=%llu\n",
                  pressure.averages[0], pressure.averages[1], pressure.averages[2],
                  static_cast<unsigned long long>(pressure.total_us));
    out.append(pressure.kind).append(figures);
  }
  return out;
}

}  // namespace clustix::procview
