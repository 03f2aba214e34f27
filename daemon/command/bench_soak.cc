// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/bench_soak.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/bench/machine.h"
#include "daemon/bench/report.h"
#include "daemon/command/command.h"
#include "daemon/command/table.h"

namespace clustix::command {
namespace {

using bench::FormatFigure;
using bench::NodeFigures;

void ShowMachine(const bench::SoakPlan& plan) {
  std::printf("%s; load %.2f\n", MachineTitle(bench::DescribeMachine(plan.congestion)).c_str(),
              bench::LoadAverage());
}

// The least, the middle and the most of one figure.
struct Spread {
  double least, middle, most;
};

Spread SpreadOf(const std::vector<NodeFigures>& nodes, double NodeFigures::*figure) {
  std::vector<double> values;
  for (const NodeFigures& node : nodes) values.push_back(node.*figure);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {*least, bench::Median(values), *most};
}

void AddSpread(Table& table, const char* name, const Spread& spread) {
  table.Add(
      {name, FormatFigure(spread.least), FormatFigure(spread.middle), FormatFigure(spread.most)});
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
  const std::vector<std::pair<const char*, uint64_t>> counts = {
      {"connections reset", result->cuts},
      {"noticed", result->disconnects},
      {"messages and calls sent", result->sent},
      {"sent again", result->resent},
      {"lost", result->lost},
      {"duplicated", result->duplicated},
      {"out of order", result->reordered},
      {"changed", result->corrupt}};
  for (const auto& [name, count] : counts) table.Add({name, std::to_string(count)});
  table.Add({"messages/s without cuts", FormatFigure(result->uncut_msgs_per_s)});
  table.Add({"messages/s with cuts", FormatFigure(result->cut_msgs_per_s)});
  table.Add({"with cuts to without", bench::FormatRatio(ratio)});
  std::fputs(table.Render().c_str(), stdout);
  if (result->cuts == 0) return Fail("no connection was reset: too short a time (use --seconds)");
  if (result->clean()) return kExitOk;
  return Fail("messages did not arrive exactly once, in order and unchanged");
}

int RunManyCommand(const bench::SoakPlan& plan, uint32_t nodes, uint32_t window,
                   uint32_t duration_ms) {
  const absl::StatusOr<std::vector<NodeFigures>> figures =
      bench::RunManySoak(plan, nodes, window, duration_ms);
  if (!figures.ok()) return Fail(figures.status());
  ShowMachine(plan);
  constexpr auto kRight = Table::Align::kRight;
  Table by_node({{"NODE", kRight}, {"CALLS/S", kRight}, {"P50 US", kRight}, {"P99 US", kRight}});
  for (const NodeFigures& node : *figures) {
    by_node.Add({std::to_string(node.node), FormatFigure(node.msgs_per_s),
                 FormatFigure(node.p50_us), FormatFigure(node.p99_us)});
  }
  std::fputs(by_node.Render().c_str(), stdout);
  Table spread({{""}, {"LEAST", kRight}, {"MEDIAN", kRight}, {"MOST", kRight}});
  AddSpread(spread, "calls/s of a node", SpreadOf(*figures, &NodeFigures::msgs_per_s));
  AddSpread(spread, "p99 of a node, us", SpreadOf(*figures, &NodeFigures::p99_us));
  std::printf("\n%u nodes, %u calls of 64 bytes outstanding to each\n%s", nodes, window,
              spread.Render().c_str());
  for (const NodeFigures& node : *figures) {
    if (node.msgs_per_s == 0)
      return Fail(absl::StrCat("node ", node.node, " got no answer at all"));
  }
  return kExitOk;
}

}  // namespace clustix::command
