// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/kddm_run.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/bench/kddm_report.h"

namespace clustix::bench {
namespace {

KddmRow RowWith(const std::string& test, const std::string& where, double p50_ns) {
  return {.test = test,
          .where = where,
          .size_bytes = 4,
          .nodes = 4,
          .p50_ns = p50_ns,
          .p99_ns = p50_ns,
          .ops_per_s = 1e9 / p50_ns};
}

TEST(KddmRun, Reads_what_comes_next_and_rows_and_the_end) {
  const auto next = ParseKddmLine(R"({"next": "round 1", "done": 2, "total": 9})");
  ASSERT_TRUE(next.ok() && next->next);
  EXPECT_EQ(next->next->what, "round 1");
  EXPECT_EQ(next->next->total, 9u);
  const auto row = ParseKddmLine(
      R"({"row": {"case": "get", "where": "here", "size": 4, "nodes": 3, "p50_ns": 40}})");
  ASSERT_TRUE(row.ok() && row->row);
  EXPECT_EQ(row->row->p50_ns, 40);
  EXPECT_FALSE(row->row->has_cost);
  const auto counted = ParseKddmLine(
      R"({"row": {"case": "get", "where": "here", "size": 4, "nodes": 3, "messages": 2,)"
      R"( "hops": 2, "bytes": 112}})");
  ASSERT_TRUE(counted.ok() && counted->row);
  EXPECT_TRUE(counted->row->has_cost);
  EXPECT_EQ(counted->row->bytes, 112);
  EXPECT_TRUE(ParseKddmLine(R"({"end": true})")->end);
}

TEST(KddmRun, Refuses_what_is_no_line_of_the_program) {
  for (const char* line :
       {"", "no JSON", "{}", "[]", R"({"row": {}})", R"({"next": 1})",
        R"({"row": {"case": "get", "where": "here", "size": 4, "nodes": 3, "p50_ns": -1}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseKddmLine(line).status())) << line;
  }
}

TEST(KddmRun, Has_the_medians_of_all_rounds_in_the_order_of_the_first) {
  const std::vector<KddmRow> rows =
      CombineKddm({RowWith("b", "here", 10), RowWith("a", "here", 1), RowWith("b", "here", 30),
                   RowWith("b", "here", 20), RowWith("b", "there", 5)});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].test, "b");
  EXPECT_EQ(rows[0].p50_ns, 20);
  EXPECT_EQ(rows[1].p50_ns, 1);
  EXPECT_EQ(rows[2].where, "there");
}

TEST(KddmRun, Becomes_JSON_with_null_for_what_was_not_measured) {
  KddmRun run;
  run.rows = {RowWith("get", "here", 40)};
  const auto json = nlohmann::json::parse(KddmRunToJson(run));
  const auto& row = json.at("rows").at(0);
  EXPECT_EQ(row.at("case"), "get");
  EXPECT_EQ(row.at("p50_ns"), 40);
  EXPECT_TRUE(row.at("hops").is_null());
}

TEST(KddmReport, Compares_with_raw_TCP_of_the_same_run) {
  KddmRun run;
  run.rows = {RowWith("raw TCP, 2 hops", "blocking", 20'000),
              RowWith("get, the home has it", "daemon, remote home", 25'000),
              RowWith("get, the home has it", "program, remote home", 90'000)};
  std::vector<KddmFloorResult> measured;
  for (const KddmFloorResult& result : CheckKddmFloors(run)) {
    if (result.measured) measured.push_back(result);
  }
  ASSERT_EQ(measured.size(), 2u);
  EXPECT_EQ(measured[0].verdict, Verdict::kReached);
  EXPECT_EQ(measured[0].measured, 1.25);
  EXPECT_EQ(measured[1].verdict, Verdict::kMissed);
  EXPECT_NE(RenderKddm(run).find("not measured"), std::string::npos);
}

TEST(KddmReport, Reports_as_not_measured_what_has_nothing_to_compare_with) {
  KddmRun run;
  run.rows = {RowWith("get, the home has it", "daemon, remote home", 25'000)};
  for (const KddmFloorResult& result : CheckKddmFloors(run)) {
    EXPECT_EQ(result.verdict, Verdict::kNotMeasured) << result.floor->goal;
  }
}

}  // namespace
}  // namespace clustix::bench
