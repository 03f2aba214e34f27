// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/kddm_report.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "daemon/bench/report.h"
#include "daemon/command/table.h"

namespace clustix::bench {
namespace {

using command::Table;
using KddmMeasure = KddmFloor::Measure;
constexpr auto kToRight = Table::Align::kRight;

constexpr const char* kRaw = "raw TCP, 2 hops";
constexpr const char* kRawChain = "raw TCP, 3 hops";
constexpr const char* kBlocking = "blocking";
constexpr const char* kByProgram = "program, remote home";
constexpr const char* kByDaemon = "daemon, remote home";

// The cases of single operations: of those there is a figure for each of the places.
struct Place {
  const char* where;
  uint64_t size_bytes;
  const char* title;
};
constexpr Place kPlaces[] = {{"program, local home", 4, "4 B, LOCAL HOME us"},
                             {kByProgram, 4, "4 B, REMOTE HOME us"},
                             {kByProgram, 4096, "4 KiB, REMOTE HOME us"},
                             {kByDaemon, 4, "4 B, DAEMON us"},
                             {kByDaemon, 4096, "4 KiB, DAEMON us"}};
constexpr const char* kCounted = "engines, remote home";

std::string FormatUs(double ns) {
  constexpr double kNsPerUs = 1000;
  return FormatFigure(ns / kNsPerUs);
}

std::string FormatCount(double count) { return absl::StrFormat("%.0f", count); }

bool IsOperation(const KddmRow& row) {
  return row.where == kCounted ||
         std::any_of(std::begin(kPlaces), std::end(kPlaces),
                     [&row](const Place& place) { return row.where == place.where; });
}

// The names of cases that are single operations, in their order.
std::vector<std::string> Operations(const KddmRun& run) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const KddmRow& row : run.rows) {
    if (IsOperation(row) && seen.insert(row.test).second) names.push_back(row.test);
  }
  return names;
}

std::string RenderOthers(const KddmRun& run) {
  Table table({{"CASE"},
               {"WHERE"},
               {"P50 ns", kToRight},
               {"P99 ns", kToRight},
               {"OPERATIONS/S", kToRight}});
  for (const KddmRow& row : run.rows) {
    if (IsOperation(row) || row.ops_per_s == 0) continue;
    table.Add({row.test, row.where, FormatFigure(row.p50_ns), FormatFigure(row.p99_ns),
               FormatFigure(row.ops_per_s)});
  }
  return table.Render();
}

std::string RenderOperations(const KddmRun& run) {
  std::vector<Table::Column> columns = {{"OPERATION, p50"}};
  for (const Place& place : kPlaces) columns.push_back({place.title, kToRight});
  Table table(columns);
  for (const std::string& name : Operations(run)) {
    std::vector<std::string> cells = {name};
    for (const Place& place : kPlaces) {
      const KddmRow* row = run.Find(name, place.where, place.size_bytes);
      cells.push_back(row == nullptr ? "-" : FormatUs(row->p50_ns));
    }
    table.Add(std::move(cells));
  }
  return table.Render();
}

// In clusters of any size.
std::string RenderCosts(const KddmRun& run) {
  std::set<uint64_t> sizes;
  for (const KddmRow& row : run.rows) {
    if (row.where == kCounted) sizes.insert(row.nodes);
  }
  std::vector<Table::Column> columns = {{"OPERATION: hops, messages, bytes"}};
  for (const uint64_t nodes : sizes) columns.push_back({absl::StrCat(nodes, " NODES"), kToRight});
  Table table(columns);
  for (const std::string& name : Operations(run)) {
    std::vector<std::string> cells = {name};
    for (const uint64_t nodes : sizes) {
      const KddmRow* row = run.Find(name, kCounted, 0, nodes);
      cells.push_back(row == nullptr
                          ? "-"
                          : absl::StrCat(FormatCount(row->hops), ", ", FormatCount(row->messages),
                                         ", ", FormatCount(row->bytes)));
    }
    table.Add(std::move(cells));
  }
  return table.Render();
}

double FigureOf(const KddmRow& row, KddmMeasure measure) {
  switch (measure) {
    case KddmMeasure::kP50:
      return row.p50_ns;
    case KddmMeasure::kOpsPerSecond:
      return row.ops_per_s;
    case KddmMeasure::kBytes:
      return row.bytes;
  }
  return 0;
}

std::string FigureTitle(const KddmFloor& floor, double figure) {
  if (floor.against != nullptr) return absl::StrFormat("%.2fx", figure);
  switch (floor.measure) {
    case KddmMeasure::kP50:
      return absl::StrCat(FormatFigure(figure), " ns");
    case KddmMeasure::kOpsPerSecond:
      return absl::StrCat(FormatFigure(figure), "/s");
    case KddmMeasure::kBytes:
      return absl::StrCat(FormatFigure(figure), " B");
  }
  return "";
}

std::string RenderKddmFloors(const KddmRun& run) {
  Table table({{"FLOOR"}, {"WHERE"}, {"AGAINST"}, {"BOUND"}, {"MEASURED", kToRight}, {"RESULT"}});
  for (const KddmFloorResult& result : CheckKddmFloors(run)) {
    const KddmFloor& floor = *result.floor;
    const char* verdict = result.verdict == Verdict::kReached  ? "reached"
                          : result.verdict == Verdict::kMissed ? "missed"
                                                               : "not measured";
    table.Add(
        {floor.goal, floor.where,
         floor.against == nullptr ? "-" : absl::StrCat(floor.against, ", ", floor.against_where),
         absl::StrCat(floor.measure == KddmMeasure::kOpsPerSecond ? "at least " : "at most ",
                      FigureTitle(floor, floor.bound)),
         result.measured ? FigureTitle(floor, *result.measured) : "-", verdict});
  }
  return table.Render();
}

}  // namespace

// What a bound against raw TCP allows is the work of the daemons on the way, and the way of a
// program to its daemon and back.
const std::vector<KddmFloor>& KddmFloors() {
  constexpr const char* kCached = "get and put of what is cached";
  constexpr const char* kGetHome = "get, the home has it";
  constexpr const char* kGrabThird = "grab, a third node has it alone";
  constexpr const char* kPut = "put, 2 replicas";
  static const auto* floors = new std::vector<KddmFloor>{
      {"get and put, cached, hot", kCached, "of one object", 0, KddmMeasure::kP50, nullptr, nullptr,
       40},
      {"get and put, cached, uniform over 64 Ki", kCached, "of 65536 objects", 0, KddmMeasure::kP50,
       nullptr, nullptr, 100},
      {"local reads on a core", kCached, "of one object", 0, KddmMeasure::kOpsPerSecond, nullptr,
       nullptr, 15e6},
      {"grab and put, exclusive here, volatile", "grab and put of what is exclusive here",
       "program", 0, KddmMeasure::kP50, nullptr, nullptr, 150},
      {"remote get, 2 hops", kGetHome, kByDaemon, 4, KddmMeasure::kP50, kRaw, kBlocking, 1.5},
      {"remote get, 2 hops", kGetHome, kByProgram, 4, KddmMeasure::kP50, kRaw, kBlocking, 2.5},
      {"grab from a third node", kGrabThird, kByDaemon, 4, KddmMeasure::kP50, kRawChain, kBlocking,
       1.4},
      {"grab from a third node", kGrabThird, kByProgram, 4, KddmMeasure::kP50, kRawChain, kBlocking,
       1.4},
      {"put with 2 replicas", kPut, kByDaemon, 4, KddmMeasure::kP50, kRaw, kBlocking, 1.5},
      {"put with 2 replicas", kPut, kByProgram, 4, KddmMeasure::kP50, kRaw, kBlocking, 1.5},
      {"batched remote gets", "many gets, the home has them", "program, 256 at once", 4,
       KddmMeasure::kOpsPerSecond, nullptr, nullptr, 300e3},
      {"prefetched remote gets", "prefetch and get, the home has them", "program, 256 ahead", 4,
       KddmMeasure::kOpsPerSecond, nullptr, nullptr, 300e3},
      {"4 KiB remote page fault", "page fault, the home has the page", "program", 4096,
       KddmMeasure::kP50, "page fault over raw TCP", kBlocking, 2},
      {"directory memory of an object", "memory of an object at its home", "directory of 1000000",
       0, KddmMeasure::kBytes, nullptr, nullptr, 64},
  };
  return *floors;
}

std::vector<KddmFloorResult> CheckKddmFloors(const KddmRun& run) {
  std::vector<KddmFloorResult> results;
  for (const KddmFloor& floor : KddmFloors()) {
    KddmFloorResult& result = results.emplace_back();
    result.floor = &floor;
    const KddmRow* ours = run.Find(floor.test, floor.where, floor.size_bytes);
    if (ours == nullptr || FigureOf(*ours, floor.measure) <= 0) continue;
    result.measured = FigureOf(*ours, floor.measure);
    if (floor.against != nullptr) {
      const KddmRow* other = run.Find(floor.against, floor.against_where);
      result.measured = other == nullptr ? std::nullopt
                                         : Ratio(*result.measured, FigureOf(*other, floor.measure));
      if (!result.measured) continue;
    }
    const bool reached = floor.measure == KddmMeasure::kOpsPerSecond
                             ? *result.measured >= floor.bound
                             : *result.measured <= floor.bound;
    result.verdict = reached ? Verdict::kReached : Verdict::kMissed;
  }
  return results;
}

std::string RenderKddm(const KddmRun& run) {
  return absl::StrCat(MachineTitle(run.machine), "; rounds: ", run.rounds,
                      absl::StrFormat("; load average %.2f\n\n", run.loadavg), RenderOthers(run),
                      "\n", RenderOperations(run), "\n", RenderCosts(run), "\n",
                      RenderKddmFloors(run));
}

}  // namespace clustix::bench
