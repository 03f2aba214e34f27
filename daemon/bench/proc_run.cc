// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/proc_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "daemon/bench/report.h"
#include "daemon/command/table.h"

namespace clustix::bench {
namespace {

using command::Table;
using nlohmann::ordered_json;

// Raised when what reads it must be changed.
constexpr int kProcFormat = 1;

double Least(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::min_element(values.begin(), values.end());
}

double Most(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

// How many times the median of plain ps a way takes.
std::optional<double> RatioToPlain(const ProcRun& run, std::string_view name) {
  const ListingWay* way = run.FindWay(name);
  const ListingWay* plain = run.FindWay(kWayPlain);
  if (way == nullptr || plain == nullptr) return std::nullopt;
  return Ratio(Median(way->times_ms), Median(plain->times_ms));
}

std::string Describe(std::string_view way) {
  if (way == kWayPlain) return "ps -ef on a plain /proc";
  if (way == kWayView) return "ps -ef on the cluster's /proc";
  if (way == kWayCollect) return "ps -ef on every node at once";
  if (way == kWayFuse) return "ps -ef on a FUSE pass-through";
  if (way == kWayOurs) return "clustix ps";
  return std::string(way);
}

ordered_json SpreadToJson(const std::vector<double>& times_ms) {
  return {{"median_ms", Median(times_ms)},
          {"min_ms", Least(times_ms)},
          {"max_ms", Most(times_ms)},
          {"times_ms", times_ms}};
}

std::string RenderWays(const ProcRun& run) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"WAY"},
               {"MEDIAN ms", kRight},
               {"LEAST", kRight},
               {"MOST", kRight},
               {"LINES", kRight},
               {"TO PLAIN", kRight}});
  for (const ListingWay& way : run.ways) {
    table.Add({Describe(way.name), FormatFigure(Median(way.times_ms)),
               FormatFigure(Least(way.times_ms)), FormatFigure(Most(way.times_ms)),
               std::to_string(way.lines), FormatRatio(RatioToPlain(run, way.name))});
  }
  return table.Render();
}

std::string RenderLags(const ProcRun& run) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"SEEN ON ANOTHER NODE AFTER"},
               {"MEDIAN ms", kRight},
               {"LEAST", kRight},
               {"MOST", kRight},
               {"COUNT", kRight}});
  for (const Lag& lag : run.lags) {
    table.Add({lag.name, FormatFigure(Median(lag.times_ms)), FormatFigure(Least(lag.times_ms)),
               FormatFigure(Most(lag.times_ms)), std::to_string(lag.times_ms.size())});
  }
  return table.Render();
}

}  // namespace

const ListingWay* ProcRun::FindWay(std::string_view name) const {
  const auto found = std::find_if(ways.begin(), ways.end(),
                                  [name](const ListingWay& way) { return way.name == name; });
  return found == ways.end() ? nullptr : &*found;
}

std::vector<ProcFloor> CheckProcFloors(const ProcRun& run) {
  std::vector<ProcFloor> floors = {
      {"ps -ef on the cluster's /proc, times that on a plain /proc", 3,
       RatioToPlain(run, kWayView)},
      {"clustix ps, times ps -ef on a plain /proc", 1, RatioToPlain(run, kWayOurs)}};
  ProcFloor idle = {"an idle daemon, % of a core", 1, {}};
  for (const IdleNode& node : run.idle) {
    idle.measured = std::max(idle.measured.value_or(0), node.core_percent);
  }
  floors.push_back(std::move(idle));
  for (const Lag& lag : run.lags) {
    ProcFloor floor = {
        absl::StrCat(lag.name, " on another node, ms until seen, the slowest"), 100, {}};
    if (!lag.times_ms.empty()) floor.measured = Most(lag.times_ms);
    floors.push_back(std::move(floor));
  }
  return floors;
}

std::string RenderProcRun(const ProcRun& run) {
  std::string text =
      absl::StrFormat("%s; load %.2f\n%d nodes with %d processes more on each\n\n",
                      MachineTitle(run.machine), run.loadavg, run.nodes, run.processes);
  absl::StrAppend(&text, RenderWays(run), "\n", RenderLags(run), "\n");
  absl::StrAppendFormat(&text, "Daemons while nobody looked, for %g s:", run.idle_s);
  for (const IdleNode& node : run.idle) {
    absl::StrAppendFormat(&text, " node %d %.2f%%", node.node, node.core_percent);
  }
  absl::StrAppend(&text, " of a core\n\n");
  for (const ProcFloor& floor : CheckProcFloors(run)) {
    const char* verdict =
        floor.measured ? (floor.reached() ? "reached" : "MISSED") : "not measured";
    absl::StrAppendFormat(&text, "%-12s %s: %s, at most %g\n", verdict, floor.what,
                          floor.measured ? absl::StrFormat("%.2f", *floor.measured) : "-",
                          floor.bound);
  }
  return text;
}

std::string ProcRunToJson(const ProcRun& run) {
  ordered_json ways = ordered_json::array(), idle = ways, lags = ways, floors = ways;
  for (const ListingWay& way : run.ways) {
    ordered_json entry = {{"name", way.name}, {"lines", way.lines}};
    entry.update(SpreadToJson(way.times_ms));
    ways.push_back(std::move(entry));
  }
  for (const IdleNode& node : run.idle) {
    idle.push_back({{"node", node.node}, {"core_percent", node.core_percent}});
  }
  for (const Lag& lag : run.lags) {
    ordered_json entry = {{"name", lag.name}, {"count", lag.times_ms.size()}};
    entry.update(SpreadToJson(lag.times_ms));
    lags.push_back(std::move(entry));
  }
  for (const ProcFloor& floor : CheckProcFloors(run)) {
    ordered_json entry = {{"what", floor.what}, {"at_most", floor.bound}};
    if (floor.measured) entry["measured"] = *floor.measured;
    entry["reached"] = floor.reached();
    floors.push_back(std::move(entry));
  }
  const ordered_json all = {{"format", kProcFormat},
                            {"machine",
                             {{"cpu_model", run.machine.cpu_model},
                              {"cores", run.machine.cores},
                              {"kernel", run.machine.kernel},
                              {"memory_bytes", run.machine.memory_bytes}}},
                            {"date", run.date},
                            {"command_line", run.command_line},
                            {"loadavg", run.loadavg},
                            {"nodes", run.nodes},
                            {"processes", run.processes},
                            {"ways", std::move(ways)},
                            {"idle_s", run.idle_s},
                            {"idle", std::move(idle)},
                            {"lags", std::move(lags)},
                            {"floors", std::move(floors)}};
  // A command line may hold any bytes; JSON only UTF-8.
  return all.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace clustix::bench
