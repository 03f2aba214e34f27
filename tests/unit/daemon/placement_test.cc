// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/placement.h"

#include <gtest/gtest.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace clustix::remote {
namespace {

proc::NodeSummary Node(uint16_t id, const std::string& state, double load, int cpus) {
  auto snapshot = std::make_shared<proc::NodeSnapshot>();
  snapshot->node = id;
  snapshot->loadavg = absl::StrCat(load, " 0.00 0.00 1/100 4242\n");
  snapshot->stat = "cpu  1 1 1 1 1 1 1 1 0 0\n";
  for (int cpu = 0; cpu < cpus; ++cpu) {
    absl::StrAppend(&snapshot->stat, "cpu", cpu, " 1 1 1 1 1 1 1 1 0 0\n");
  }
  snapshot->stat += "btime 1700000000\n";
  proc::NodeSummary summary;
  summary.view.node = id;
  summary.view.name = absl::StrCat("node", id);
  summary.view.state = state;
  summary.view.snapshot = snapshot;
  return summary;
}

uint16_t Chosen(const std::vector<proc::NodeSummary>& nodes) {
  absl::StatusOr<Placement> placement = LeastLoaded(nodes);
  return placement.ok() ? placement->node : 0;
}

TEST(LeastLoaded, Counts_load_per_processor) {
  EXPECT_EQ(Chosen({Node(1, "self", 2, 2), Node(2, "up", 3, 4), Node(3, "up", 1, 1)}), 2);
  EXPECT_DOUBLE_EQ(LeastLoaded({Node(2, "up", 3, 4)})->load_per_cpu, 0.75);
}

TEST(LeastLoaded, Prefers_the_one_that_asks_and_then_the_first_of_equals) {
  EXPECT_EQ(Chosen({Node(1, "up", 1, 2), Node(2, "self", 1, 2), Node(3, "up", 2, 4)}), 2);
  EXPECT_EQ(Chosen({Node(4, "self", 9, 2), Node(5, "up", 1, 2), Node(6, "up", 1, 2)}), 5);
}

TEST(LeastLoaded, Passes_over_whom_nothing_new_is_known_of) {
  proc::NodeSummary stale = Node(2, "up", 0, 8), unheard = Node(3, "connecting", 0, 8);
  stale.view.stale = true;
  unheard.view.snapshot = nullptr;
  EXPECT_EQ(Chosen({Node(1, "self", 7, 1), stale, unheard, Node(4, "suspect", 0, 8),
                    Node(5, "dead", 0, 8), Node(6, "path-down", 0, 8), Node(7, "up", 0, 0)}),
            1);
  EXPECT_EQ(LeastLoaded({stale}).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace clustix::remote
