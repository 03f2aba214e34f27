// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/counter_files.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

constexpr uint64_t kSumMax = std::numeric_limits<int64_t>::max();

uint64_t AddUpTo(uint64_t a, uint64_t b) {
  return a > kSumMax || b > kSumMax - a ? kSumMax : a + b;
}

// A group such as "Tcp:", with what is counted in it. MaxConn of Tcp may be -1.
struct Group {
  std::string name;
  std::vector<std::pair<std::string, int64_t>> counters;
};
using Groups = std::vector<Group>;

Group& FindGroup(Groups* groups, std::string_view name) {
  auto at = std::find_if(groups->begin(), groups->end(),
                         [name](const Group& group) { return group.name == name; });
  if (at == groups->end()) at = groups->insert(at, Group{std::string(name), {}});
  return *at;
}

// Settings among the counters.
bool IsSetting(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kNames = {
      "Forwarding", "DefaultTTL", "RtoAlgorithm", "RtoMin", "RtoMax", "MaxConn"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void Add(const Groups& from, Groups* sum) {
  for (const Group& group : from) {
    Group& into = FindGroup(sum, group.name);
    for (size_t i = 0; i < group.counters.size(); ++i) {
      const auto& [name, value] = group.counters[i];
      // Mostly at the same place, as the kernels are mostly of one version.
      auto at =
          i < into.counters.size() && into.counters[i].first == name
              ? into.counters.begin() + static_cast<std::ptrdiff_t>(i)
              : std::find_if(into.counters.begin(), into.counters.end(),
                             [&name = name](const auto& other) { return other.first == name; });
      if (at == into.counters.end()) {
        into.counters.emplace_back(name, value);
      } else if (!IsSetting(name)) {
        // By the kernel's own rule: counters wrap.
        at->second = static_cast<int64_t>(uint64_t(at->second) + uint64_t(value));
      }
    }
  }
}

std::optional<Groups> ParseLines(std::string_view text) {
  Groups groups(1);
  while (auto line = NextLine(&text)) {
    const std::string_view name = NextWord(&*line);
    const auto value = ParseNumber<int64_t>(NextWord(&*line));
    if (name.empty() || !value) return std::nullopt;
    groups[0].counters.emplace_back(name, *value);
  }
  return groups;
}

std::optional<Groups> ParsePairs(std::string_view text) {
  Groups groups;
  while (auto line = NextLine(&text)) {
    groups.push_back({std::string(NextWord(&*line)), {}});
    for (;;) {
      const std::string_view name = NextWord(&*line);
      if (name.empty()) break;
      const auto value = ParseNumber<int64_t>(NextWord(&*line));
      if (!value) return std::nullopt;
      groups.back().counters.emplace_back(name, *value);
    }
  }
  return groups;
}

std::optional<Groups> ParseHeaded(std::string_view text) {
  Groups groups;
  while (auto names = NextLine(&text)) {
    auto values = NextLine(&text);
    if (!values) return std::nullopt;
    groups.push_back({std::string(NextWord(&*names)), {}});
    if (NextWord(&*values) != groups.back().name) return std::nullopt;
    for (;;) {
      const std::string_view name = NextWord(&*names);
      const std::string_view word = NextWord(&*values);
      if (name.empty() && word.empty()) break;
      const auto value = ParseNumber<int64_t>(word);
      if (name.empty() || !value) return std::nullopt;
      groups.back().counters.emplace_back(name, *value);
    }
  }
  return groups;
}

Groups SumAll(std::span<const NodeCopy> copies,
              std::optional<Groups> (*parse)(std::string_view text)) {
  Groups sum;
  for (const NodeCopy& copy : copies) {
    if (const auto groups = parse(copy.text)) Add(*groups, &sum);
  }
  return sum;
}

// --- a column for each processor

// "  LOC:   12   34   Local timer interrupts"
struct CpuRow {
  std::string name;
  std::vector<uint64_t> counts;  // one for each processor, or fewer: then of the node as a whole
  std::string what;
};

struct CpuTable {
  size_t cpus = 0;
  std::vector<CpuRow> rows;
};

std::optional<CpuTable> ParseCpuTable(std::string_view text) {
  CpuTable table;
  auto header = NextLine(&text);
  if (!header) return std::nullopt;
  while (!NextWord(&*header).empty()) ++table.cpus;
  while (auto line = NextLine(&text)) {
    CpuRow row;
    row.name = NextWord(&*line);
    if (row.name.size() < 2 || row.name.back() != ':') return std::nullopt;
    row.name.pop_back();
    while (row.counts.size() < table.cpus) {
      std::string_view rest = *line;
      const auto count = ParseNumber<uint64_t>(NextWord(&rest));
      if (!count) break;
      row.counts.push_back(*count);
      *line = rest;
    }
    row.what = *line;
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string PrintCpuTable(const CpuTable& table) {
  constexpr int kWidth = 10;
  int names = kWidth;
  for (const CpuRow& row : table.rows) {
    names = std::max(names, static_cast<int>(std::min<size_t>(row.name.size(), 32)));
  }
  char cell[64];
  std::string out(static_cast<size_t>(names) + 1, ' ');
  for (size_t i = 0; i < table.cpus; ++i) {
    std::snprintf(cell, sizeof cell, " %*s", kWidth, ("CPU" + std::to_string(i)).c_str());
    out.append(cell);
  }
  out.append("\n");
  for (const CpuRow& row : table.rows) {
    std::snprintf(cell, sizeof cell, "%*s:", names, row.name.substr(0, 32).c_str());
    out.append(cell);
    for (uint64_t count : row.counts) {
      std::snprintf(cell, sizeof cell, " %*llu", kWidth, static_cast<unsigned long long>(count));
      out.append(cell);
    }
    out.append(row.what).append("\n");
  }
  return out;
}

}  // namespace

std::string SumColumns(std::span<const NodeCopy> copies, uint32_t kept) {
  std::vector<uint64_t> sum;
  for (const NodeCopy& copy : copies) {
    std::string_view line = std::string_view(copy.text).substr(0, copy.text.find('\n'));
    std::vector<uint64_t> columns;
    std::string_view word;
    while (!(word = NextWord(&line)).empty()) {
      const auto value = ParseNumber<uint64_t>(word);
      if (!value) break;
      columns.push_back(*value);
    }
    if (!word.empty() || columns.empty()) continue;
    if (sum.empty()) {
      sum = columns;
      continue;
    }
    if (columns.size() != sum.size()) continue;
    for (size_t i = 0; i < sum.size(); ++i) {
      const bool is_kept = i < 32 && (kept >> i & 1) != 0;
      if (!is_kept) sum[i] = AddUpTo(sum[i], columns[i]);
    }
  }
  std::string out;
  for (size_t i = 0; i < sum.size(); ++i) {
    out.append(i == 0 ? "" : "\t").append(std::to_string(sum[i]));
  }
  return out.empty() ? out : out + "\n";
}

std::string SumLines(std::span<const NodeCopy> copies) {
  std::string out;
  for (const Group& group : SumAll(copies, ParseLines)) {
    for (const auto& [name, value] : group.counters) {
      std::string padded = name;
      if (padded.size() < 32) padded.resize(32, ' ');
      out.append(padded).append("\t").append(std::to_string(value)).append("\n");
    }
  }
  return out;
}

std::string SumPairs(std::span<const NodeCopy> copies) {
  std::string out;
  for (const Group& group : SumAll(copies, ParsePairs)) {
    out.append(group.name);
    for (const auto& [name, value] : group.counters) {
      out.append(" ").append(name).append(" ").append(std::to_string(value));
    }
    out.append("\n");
  }
  return out;
}

std::string SumHeaded(std::span<const NodeCopy> copies) {
  std::string out;
  for (const Group& group : SumAll(copies, ParseHeaded)) {
    std::string values = group.name;
    out.append(group.name);
    for (const auto& [name, value] : group.counters) {
      out.append(" ").append(name);
      values.append(" ").append(std::to_string(value));
    }
    out.append("\n").append(values).append("\n");
  }
  return out;
}

std::string JoinCpuColumns(std::span<const NodeCopy> copies) {
  CpuTable all;
  std::vector<std::pair<uint16_t, CpuTable>> tables;
  for (const NodeCopy& copy : copies) {
    auto table = ParseCpuTable(copy.text);
    if (!table) continue;
    all.cpus += table->cpus;
    tables.emplace_back(copy.node, *std::move(table));
  }
  if (tables.empty()) return {};
  std::unordered_map<std::string, size_t> places;
  size_t first_cpu = 0;
  for (auto& [node, table] : tables) {
    for (CpuRow& row : table.rows) {
      const bool of_cpus = row.counts.size() == table.cpus;
      const bool numbered = ParseNumber<uint32_t>(row.name).has_value();
      std::string name = numbered ? std::to_string(node) + "." + row.name : row.name;
      const auto [place, added] = places.emplace(name, all.rows.size());
      if (added) {
        all.rows.push_back({std::move(name), {}, row.what});
        all.rows.back().counts.resize(of_cpus ? all.cpus : row.counts.size());
      }
      std::vector<uint64_t>& counts = all.rows[place->second].counts;
      // What a node with one processor counts as a whole looks as if it were that processor's.
      const size_t shift = of_cpus && counts.size() == all.cpus ? first_cpu : 0;
      for (size_t i = 0; i < row.counts.size() && shift + i < counts.size(); ++i) {
        counts[shift + i] += row.counts[i];
      }
    }
    first_cpu += table.cpus;
  }
  return PrintCpuTable(all);
}

}  // namespace clustix::procview
