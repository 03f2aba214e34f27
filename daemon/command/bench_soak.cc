// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/bench_soak.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/bench/machine.h"
#include "daemon/bench/report.h"
#include "daemon/bench/row.h"
#include "daemon/command/command.h"
#include "daemon/command/table.h"

namespace clustix::command {
namespace {

using bench::FormatFigure;

void ShowMachine(const bench::SoakPlan& plan) {
  std::printf("%s; load %.2f\n", MachineTitle(bench::DescribeMachine(plan.congestion)).c_str(),
              bench::LoadAverage());
}

// The least, the middle and the most of one figure.
struct Spread {
  double least, middle, most;
};

Spread SpreadOf(const std::vector<bench::NodeFigures>& nodes, double bench::NodeFigures::*figure) {
  std::vector<double> values;
  for (const bench::NodeFigures& node : nodes) values.push_back(node.*figure);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {*least, bench::Median(values), *most};
}

void AddSpread(Table& table, const char* name, const Spread& spread) {
  table.Add(
      {name, FormatFigure(spread.least), FormatFigure(spread.middle), FormatFigure(spread.most)});
}

constexpr const char* kDamaged = "messages did not arrive exactly once, in order and unchanged";

void AddCounts(Table& table, const bench::DeliveryCounts& counts) {
  const std::vector<std::pair<const char*, uint64_t>> rows = {
      {"messages and calls sent", counts.sent},
      {"lost", counts.lost},
      {"duplicated", counts.duplicated},
      {"out of order", counts.reordered},
      {"changed", counts.corrupt}};
  for (const auto& [name, count] : rows) table.Add({name, std::to_string(count)});
}

void ShowStall(const bench::StallResult& result, uint64_t stalled_node) {
  constexpr auto kRight = Table::Align::kRight;
  Table calls({{"CALLS TO"},
               {"BEFORE/S", kRight},
               {"STALLED/S", kRight},
               {"SLOWEST/S", kRight},
               {"P99 us BEFORE", kRight},
               {"P99 us STALLED", kRight}});
  for (const bench::WatchedCalls& node : result.watched) {
    const char* note = node.node == stalled_node ? ", the other lane" : "";
    calls.Add({absl::StrCat("node ", node.node, note), FormatFigure(node.before_per_s),
               FormatFigure(node.stalled_per_s), FormatFigure(node.slowest_per_s),
               FormatFigure(node.before_p99_us), FormatFigure(node.stalled_p99_us)});
  }
  std::fputs(calls.Render().c_str(), stdout);
  Table table({{""}, {"", kRight}});
  table.Add({"seconds without reading", FormatFigure(result.stalled_s)});
  table.Add({"queues to the stalled node, most", FormatBytes(result.queue_most_bytes)});
  table.Add({"their limit", FormatBytes(result.limit_bytes)});
  table.Add({"memory of the sender before", FormatBytes(result.rss_before_bytes)});
  table.Add({"memory of the sender, most", FormatBytes(result.rss_most_bytes)});
  table.Add({"seconds until all had arrived", FormatFigure(result.resumed_s)});
  AddCounts(table, result.counts);
  std::fputs(table.Render().c_str(), stdout);
}

}  // namespace

int RunCutCommand(const bench::SoakPlan& plan, uint32_t cut_ms, uint32_t seconds) {
  std::fprintf(stderr,
               "connections are reset every %u ms on average for %u s, and left alone for %u s\n",
               cut_ms, seconds, seconds / 2);
  const absl::StatusOr<bench::CutResult> result = bench::RunCutSoak(plan, cut_ms, seconds);
  if (!result.ok()) return Fail(result.status());
  ShowMachine(plan);
  const double ratio =
      result->uncut_msgs_per_s > 0 ? result->cut_msgs_per_s / result->uncut_msgs_per_s : 0;
  Table table({{""}, {"", Table::Align::kRight}});
  const std::vector<std::pair<const char*, uint64_t>> counts = {{"connections reset", result->cuts},
                                                                {"noticed", result->disconnects},
                                                                {"sent again", result->resent}};
  for (const auto& [name, count] : counts) table.Add({name, std::to_string(count)});
  AddCounts(table, result->counts);
  table.Add({"messages/s without cuts", FormatFigure(result->uncut_msgs_per_s)});
  table.Add({"messages/s with cuts", FormatFigure(result->cut_msgs_per_s)});
  table.Add({"with cuts to without", bench::FormatRatio(ratio)});
  std::fputs(table.Render().c_str(), stdout);
  if (result->cuts == 0) return Fail("no connection was reset: too short a time (use --seconds)");
  if (result->counts.clean()) return kExitOk;
  return Fail(kDamaged);
}

int RunManyCommand(const bench::SoakPlan& plan, uint32_t nodes, uint32_t window,
                   uint32_t duration_ms) {
  const absl::StatusOr<std::vector<bench::NodeFigures>> figures =
      bench::RunManySoak(plan, nodes, window, duration_ms);
  if (!figures.ok()) return Fail(figures.status());
  ShowMachine(plan);
  constexpr auto kRight = Table::Align::kRight;
  Table by_node({{"NODE", kRight}, {"CALLS/S", kRight}, {"P50 US", kRight}, {"P99 US", kRight}});
  for (const bench::NodeFigures& node : *figures) {
    by_node.Add({std::to_string(node.node), FormatFigure(node.msgs_per_s),
                 FormatFigure(node.p50_us), FormatFigure(node.p99_us)});
  }
  std::fputs(by_node.Render().c_str(), stdout);
  Table spread({{""}, {"LEAST", kRight}, {"MEDIAN", kRight}, {"MOST", kRight}});
  AddSpread(spread, "calls/s of a node", SpreadOf(*figures, &bench::NodeFigures::msgs_per_s));
  AddSpread(spread, "p99 of a node, us", SpreadOf(*figures, &bench::NodeFigures::p99_us));
  std::printf("\n%u nodes, %u calls of 64 bytes outstanding to each\n%s", nodes, window,
              spread.Render().c_str());
  for (const bench::NodeFigures& node : *figures) {
    if (node.msgs_per_s == 0)
      return Fail(absl::StrCat("node ", node.node, " got no answer at all"));
  }
  return kExitOk;
}

int RunBulkCommand(const bench::SoakPlan& plan, uint32_t rounds, uint32_t duration_ms) {
  constexpr double kFloor = 5;
  const absl::StatusOr<bench::BulkResult> result = bench::RunBulkSoak(plan, rounds, duration_ms);
  if (!result.ok()) return Fail(result.status());
  ShowMachine(plan);
  std::printf("calls of 64 bytes, one at a time; medians; rounds: %u\n", rounds);
  constexpr auto kRight = Table::Align::kRight;
  Table calls({{""}, {"P50 us", kRight}, {"P99 us", kRight}});
  calls.Add({"alone", FormatFigure(result->idle_p50_us), FormatFigure(result->idle_p99_us)});
  calls.Add({"beside a stream of 1 MiB messages", FormatFigure(result->beside_p50_us),
             FormatFigure(result->beside_p99_us)});
  std::fputs(calls.Render().c_str(), stdout);
  Table table({{""}, {"", kRight}});
  const std::optional<double> ratio = bench::Ratio(result->beside_p99_us, result->idle_p99_us);
  table.Add({absl::StrCat("p99 beside to alone (floor: at most ", kFloor, "x)"),
             bench::FormatRatio(ratio)});
  table.Add({"MB/s of the stream", FormatFigure(result->mb_per_s)});
  table.Add({"messages of the stream", std::to_string(result->streamed)});
  AddCounts(table, result->counts);
  std::fputs(table.Render().c_str(), stdout);
  if (result->streamed == 0) return Fail("the stream did not run");
  return result->counts.clean() ? kExitOk : Fail(kDamaged);
}

int RunStallCommand(const bench::SoakPlan& plan, uint32_t seconds) {
  constexpr uint64_t kStalledNode = 2;
  ShowMachine(plan);
  std::vector<std::string> complaints;
  for (bench::StallKind kind : {bench::StallKind::kHold, bench::StallKind::kStop}) {
    const char* title = kind == bench::StallKind::kHold ? "a node does not answer on its bulk lane"
                                                        : "a node's process is stopped";
    std::printf("\n%s for %u s\n", title, seconds);
    std::fflush(stdout);
    const absl::StatusOr<bench::StallResult> result = bench::RunStallSoak(plan, kind, seconds);
    if (!result.ok()) return Fail(result.status());
    ShowStall(*result, kStalledNode);
    for (const std::string& complaint : bench::Complaints(*result)) {
      complaints.push_back(absl::StrCat(title, ": ", complaint));
    }
  }
  if (complaints.empty()) return kExitOk;
  return Fail(absl::StrJoin(complaints, "\nclustix: "));
}

}  // namespace clustix::command
