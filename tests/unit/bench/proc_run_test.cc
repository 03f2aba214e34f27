// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/proc_run.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace clustix::bench {
namespace {

ProcRun SampleProcRun() {
  ProcRun run;
  run.machine = {"AMD", 2, "6.1.0", uint64_t{8} << 30, "bbr"};
  run.nodes = 3;
  run.processes = 1000;
  run.ways = {{std::string(kWayPlain), {100, 120, 80}, 3010},
              {std::string(kWayView), {250, 190, 210}, 3005},
              {std::string(kWayOurs), {150, 160, 140}, 3005}};
  run.idle_s = 10;
  run.idle = {{1, 0.25}, {2, 0.5}};
  run.lags = {{"births", {20, 30, 90}}, {"exits", {20, 101}}};
  return run;
}

TEST(ProcRun, Is_held_against_its_floors_by_medians_and_by_the_worst) {
  const std::vector<ProcFloor> floors = CheckProcFloors(SampleProcRun());
  ASSERT_EQ(floors.size(), 5u);
  EXPECT_DOUBLE_EQ(floors[0].measured.value_or(0), 2.1);
  EXPECT_TRUE(floors[0].reached());
  EXPECT_DOUBLE_EQ(floors[1].measured.value_or(0), 1.5);
  EXPECT_FALSE(floors[1].reached());
  EXPECT_DOUBLE_EQ(floors[2].measured.value_or(0), 0.5);
  EXPECT_TRUE(floors[2].reached());
  EXPECT_TRUE(floors[3].reached());
  EXPECT_FALSE(floors[4].reached()) << "one exit took longer";
}

TEST(ProcRun, Reaches_no_floor_that_was_not_measured) {
  for (const ProcFloor& floor : CheckProcFloors(ProcRun())) {
    EXPECT_FALSE(floor.measured) << floor.what;
    EXPECT_FALSE(floor.reached()) << floor.what;
  }
}

TEST(ProcRun, Becomes_json_with_every_time) {
  ProcRun run = SampleProcRun();
  run.command_line = "clustix bench proc \xff";
  const nlohmann::json all = nlohmann::json::parse(ProcRunToJson(run));
  EXPECT_EQ(all["nodes"], 3);
  EXPECT_EQ(all["machine"]["cores"], 2);
  ASSERT_EQ(all["ways"].size(), 3u);
  EXPECT_EQ(all["ways"][1]["name"], "view");
  EXPECT_EQ(all["ways"][1]["median_ms"], 210);
  EXPECT_EQ(all["ways"][1]["min_ms"], 190);
  EXPECT_EQ(all["ways"][1]["max_ms"], 250);
  EXPECT_EQ(all["ways"][1]["times_ms"].size(), 3u);
  EXPECT_EQ(all["lags"][0]["count"], 3);
  EXPECT_EQ(all["idle"][1]["core_percent"], 0.5);
  EXPECT_EQ(all["floors"][4]["reached"], false);
}

TEST(ProcRun, Is_shown_with_what_it_missed) {
  const std::string text = RenderProcRun(SampleProcRun());
  EXPECT_NE(text.find("ps -ef on the cluster's /proc"), std::string::npos) << text;
  EXPECT_NE(text.find("2.10x"), std::string::npos) << text;
  EXPECT_NE(text.find("MISSED       clustix ps"), std::string::npos) << text;
}

}  // namespace
}  // namespace clustix::bench
