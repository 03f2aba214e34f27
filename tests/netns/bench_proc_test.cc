// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench proc`: that it measures what it says and leaves nothing. How fast anything is, no
// test asserts.
#include <gtest/gtest.h>

#include <fstream>

#include "daemon/cluster/files.h"
#include "daemon/cluster/mounts.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

class BenchProc : public ClusterTest {};

TEST_F(BenchProc, Measures_every_way_and_leaves_nothing) {
  const std::string file = testing::TempDir() + "bench-proc-" + std::to_string(getpid()) + ".json";
  const auto run =
      cluster::RunTool({ClustixProgram(), "bench", "proc", "--nodes", "2", "--processes", "25",
                        "--rounds", "2", "--births", "3", "--idle-s", "1", "--json", file},
                       "");
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->status, 0) << run->output << run->errors;
  EXPECT_NE(run->output.find("ps -ef on the cluster's /proc"), std::string::npos) << run->output;

  std::ifstream stream(file);
  const nlohmann::json all = nlohmann::json::parse(stream, nullptr, false);
  ASSERT_TRUE(cluster::RemoveFile(file).ok());
  ASSERT_FALSE(all.is_discarded());
  EXPECT_EQ(all["nodes"], 2);
  EXPECT_EQ(all["processes"], 25);
  std::vector<std::string> names;
  for (const nlohmann::json& way : all["ways"]) {
    names.push_back(way["name"]);
    EXPECT_EQ(way["times_ms"].size(), 2u) << way;
    EXPECT_GT(way["median_ms"], 0.0) << way;
    EXPECT_GT(way["lines"], 50) << way;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"plain", "view", "collect", "fuse", "clustix-ps"}));
  ASSERT_EQ(all["lags"].size(), 2u);
  for (const nlohmann::json& lag : all["lags"]) EXPECT_EQ(lag["times_ms"].size(), 3u) << lag;
  EXPECT_EQ(all["idle"].size(), 2u);
  EXPECT_EQ(all["floors"].size(), 5u);
  EXPECT_EQ(cluster::MountPoints("/run/clustix-bench").size(), 0u);
  EXPECT_NE(access("/run/clustix-bench", F_OK), 0);
}

}  // namespace
}  // namespace clustix::netns
