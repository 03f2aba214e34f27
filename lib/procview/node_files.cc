// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/node_files.h"

#include <cmath>
#include <optional>

#include "absl/status/status.h"
#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

absl::Status Malformed(const char* file, const char* what) {
  return absl::InvalidArgumentError(std::string("malformed /proc/") + file + ": " + what);
}

// All words of a line as numbers; empty optional if one is not a number.
std::optional<std::vector<uint64_t>> Numbers(std::string_view text) {
  std::vector<uint64_t> values;
  for (;;) {
    const std::string_view word = NextWord(&text);
    if (word.empty()) return values;
    const auto value = ParseNumber<uint64_t>(word);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
}

std::optional<double> NonNegative(std::string_view word) {
  const auto value = ParseNumber<double>(word);
  if (!value || !std::isfinite(*value) || *value < 0) return std::nullopt;
  return value;
}

// The line without its newline; empty if the newline is missing, which is how a cut text looks.
std::string_view OneLine(std::string_view text) {
  if (text.empty() || text.back() != '\n') return {};
  text.remove_suffix(1);
  return text;
}

}  // namespace

absl::StatusOr<NodeStat> ParseNodeStat(std::string_view text) {
  if (text.empty() || text.back() != '\n') return Malformed("stat", "empty or cut short");
  NodeStat stat;
  while (auto line = NextLine(&text)) {
    std::string_view rest = *line;
    const std::string_view key = NextWord(&rest);
    auto first = [&](uint64_t* value) {
      const auto parsed = ParseNumber<uint64_t>(NextWord(&rest));
      if (parsed) *value = *parsed;
      return parsed.has_value();
    };
    bool ok = true;
    if (key.substr(0, 3) == "cpu") {
      auto columns = Numbers(rest);
      ok = columns && columns->size() >= 4;
      if (!ok) return Malformed("stat", "a cpu line without numbers");
      if (key == "cpu") {
        stat.all_cpus = std::move(*columns);
      } else {
        stat.each_cpu.push_back(std::move(*columns));
      }
    } else if (key == "intr") {
      ok = first(&stat.interrupts);
    } else if (key == "ctxt") {
      ok = first(&stat.context_switches);
    } else if (key == "btime") {
      ok = first(&stat.boot_time_s);
    } else if (key == "processes") {
      ok = first(&stat.forks);
    } else if (key == "procs_running") {
      ok = first(&stat.running);
    } else if (key == "procs_blocked") {
      ok = first(&stat.blocked);
    } else if (key == "softirq") {
      auto columns = Numbers(rest);
      ok = columns.has_value();
      if (ok) stat.softirqs = std::move(*columns);
    }
    if (!ok) return Malformed("stat", "a figure is not a number");
  }
  if (stat.all_cpus.empty()) return Malformed("stat", "no cpu line");
  if (stat.boot_time_s == 0) return Malformed("stat", "no btime");
  return stat;
}

absl::StatusOr<std::vector<Figure>> ParseFigures(std::string_view text) {
  if (text.empty() || text.back() != '\n') return Malformed("meminfo or vmstat", "cut short");
  std::vector<Figure> figures;
  while (auto line = NextLine(&text)) {
    std::string_view rest = *line;
    std::string_view key = NextWord(&rest);
    const auto value = ParseNumber<uint64_t>(NextWord(&rest));
    if (!value) return Malformed("meminfo or vmstat", "a line without a number");
    if (key.back() == ':') key.remove_suffix(1);
    figures.push_back({std::string(key), *value, std::string(NextWord(&rest))});
  }
  return figures;
}

absl::StatusOr<LoadAverage> ParseLoadAverage(std::string_view text) {
  std::string_view line = OneLine(text);
  LoadAverage load;
  for (double& value : load.load) {
    const auto parsed = NonNegative(NextWord(&line));
    if (!parsed) return Malformed("loadavg", "a load is not a number");
    value = *parsed;
  }
  const std::string_view tasks = NextWord(&line);
  const size_t slash = tasks.find('/');
  if (slash == std::string_view::npos) return Malformed("loadavg", "no running/total");
  const auto running = ParseNumber<uint64_t>(tasks.substr(0, slash));
  const auto total = ParseNumber<uint64_t>(tasks.substr(slash + 1));
  const auto last_pid = ParseNumber<int32_t>(NextWord(&line));
  if (!running || !total || !last_pid) return Malformed("loadavg", "a count is not a number");
  load.running = *running;
  load.total = *total;
  load.last_pid = *last_pid;
  return load;
}

absl::StatusOr<Uptime> ParseUptime(std::string_view text) {
  std::string_view line = OneLine(text);
  const auto up = NonNegative(NextWord(&line));
  const auto idle = NonNegative(NextWord(&line));
  if (!up || !idle) return Malformed("uptime", "not two numbers");
  return Uptime{*up, *idle};
}

}  // namespace clustix::procview
