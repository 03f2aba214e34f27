// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench kddm` from end to end, for a moment: that all is measured, and nothing left.
// Asserts no timing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "daemon/bench/child.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/process.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::bench {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::HasSubstr;

const std::string kClustix = std::string(CLUSTIX_BIN_DIR) + "/clustix";

// Of the clusters that benchmarks start.
std::string BaseDirOf(pid_t pid) {
  return cluster::DefaultBaseDir() + "-bench-" + std::to_string(pid);
}

std::string WhereOf(const json& row) {
  return row.at("case").get<std::string>() + ", " + row.at("where").get<std::string>();
}

TEST(BenchKddm, Measures_every_case_and_writes_rows_that_can_be_compared) {
  const TempDir dir;
  const std::string file = dir.path() + "/run.json";
  const absl::StatusOr<cluster::ToolResult> result =
      cluster::RunTool({kClustix, "bench", "kddm", "--quick", "--json", file}, "");
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->status, 0) << result->errors;
  EXPECT_THAT(result->output, HasSubstr("load average"));
  EXPECT_THAT(result->output, HasSubstr("remote get, 2 hops"));
  const json run = json::parse(std::ifstream(file));
  std::set<std::string> operations, timed;
  for (const json& row : run.at("rows")) {
    EXPECT_GE(row.at("nodes"), 1) << WhereOf(row);
    EXPECT_GE(row.at("size"), 0) << WhereOf(row);
    const bool has_times = !row.at("p50_ns").is_null(), has_cost = !row.at("bytes").is_null();
    EXPECT_TRUE(has_times || has_cost) << WhereOf(row);
    if (has_times) {
      timed.insert(WhereOf(row));
      EXPECT_TRUE(std::isfinite(row.at("ops_per_s").get<double>())) << WhereOf(row);
      EXPECT_GE(row.at("p99_ns"), row.at("p50_ns")) << WhereOf(row);
    }
    if (row.at("where") == "program, local home") operations.insert(row.at("case"));
  }
  EXPECT_EQ(operations.size(), 14u) << "13 of get, grab and remove, and put";
  for (const char* one :
       {"raw TCP, 2 hops, blocking", "raw TCP, 3 hops, blocking",
        "get and put of what is cached, of one object", "std::shared_mutex and map, of one object",
        "get, the home has it, program, remote home", "get, the home has it, daemon, remote home",
        "many gets, the home has them, program, 256 at once", "page fault over raw TCP, blocking",
        "page fault, the home has the page, program"}) {
    EXPECT_TRUE(timed.contains(one)) << one;
  }
}

TEST(BenchKddm, Leaves_nothing_behind_when_interrupted) {
  absl::StatusOr<std::unique_ptr<Child>> bench = Child::Start(
      {"/bin/sh", "-c", "exec \"$0\" bench kddm 2>&1", kClustix}, {.dies_with_parent = true});
  ASSERT_TRUE(bench.ok()) << bench.status();
  const pid_t pid = (*bench)->pid();
  for (bool measures = false; !measures;) {
    const absl::StatusOr<std::string> line = (*bench)->ReadLine(cluster::After(seconds(60)));
    ASSERT_TRUE(line.ok()) << line.status();
    measures = line->starts_with("round 1");
  }
  EXPECT_TRUE(std::filesystem::exists(BaseDirOf(pid)));
  kill(pid, SIGINT);
  EXPECT_FALSE((*bench)->Finish(cluster::After(seconds(60))).ok());
  EXPECT_FALSE(std::filesystem::exists(BaseDirOf(pid)));
}

}  // namespace
}  // namespace clustix::bench
