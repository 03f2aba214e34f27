// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench msg` from end to end, with times far too short for figures that mean anything:
// that everything is measured, and nothing lost. Asserts no timing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "daemon/bench/peers.h"
#include "daemon/bench/run_file.h"
#include "daemon/bench/runner.h"
#include "daemon/cluster/process.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::bench {
namespace {

using testing::HasSubstr;

cluster::ToolResult Clustix(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {std::string(CLUSTIX_BIN_DIR) + "/clustix", "bench", "msg"});
  absl::StatusOr<cluster::ToolResult> result = cluster::RunTool(arguments, "");
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : cluster::ToolResult{.status = -1, .output = "", .errors = ""};
}

TEST(BenchMsg, Measures_every_peer_of_the_build_in_every_case) {
  const TempDir dir;
  const std::string file = dir.path() + "/run.json";
  const cluster::ToolResult result =
      Clustix({"--sizes", "64,65536", "--windows", "64", "--rounds", "2", "--duration-ms", "5",
               "--json", file, "--plot", dir.path() + "/plots"});
  ASSERT_EQ(result.status, 0) << result.errors;
  const absl::StatusOr<bench::Run> run = LoadRun(file);
  ASSERT_TRUE(run.ok()) << run.status();
  const std::vector<Case> cases = CasesOf({.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway},
                                           .sizes_bytes = {64, 65536},
                                           .windows = {64}});
  for (const KnownPeer& peer : KnownPeers()) {
    if (!peer.by_default) continue;
    EXPECT_THAT(result.output, HasSubstr(std::string(peer.name)));
    for (const Case& test : cases) {
      const auto row = std::find_if(run->rows.begin(), run->rows.end(), [&](const Row& r) {
        return r.peer == peer.name && r.test == test;
      });
      ASSERT_NE(row, run->rows.end()) << peer.name << ", " << CaseTitle(test);
      EXPECT_EQ(row->rounds, 2u);
      EXPECT_GT(row->msgs_per_s, 0);
      EXPECT_EQ(row->p50_us > 0, test.mode != Mode::kOneway);
      EXPECT_EQ(row->syscalls_per_msg > 0, peer.name.starts_with("clustix"));
    }
  }
  EXPECT_FALSE(run->machine.congestion_control.empty());
}

TEST(BenchMsg, Loses_nothing_when_connections_are_cut) {
  const cluster::ToolResult result = Clustix({"--cut", "20ms", "--seconds", "2"});
  EXPECT_EQ(result.status, 0) << result.errors << result.output;
  EXPECT_THAT(result.output, HasSubstr("duplicated"));
}

TEST(BenchMsg, Serves_many_peers_at_once) {
  const cluster::ToolResult result = Clustix({"--peers-at-once", "16", "--seconds", "1"});
  EXPECT_EQ(result.status, 0) << result.errors << result.output;
  EXPECT_THAT(result.output, HasSubstr("p99 of a node"));
}

TEST(BenchMsg, Calls_beside_a_stream_that_arrives_whole) {
  const cluster::ToolResult result =
      Clustix({"--beside-bulk", "--rounds", "2", "--duration-ms", "100"});
  EXPECT_EQ(result.status, 0) << result.errors << result.output;
  EXPECT_THAT(result.output, HasSubstr("p99 beside to alone"));
}

TEST(BenchMsg, Keeps_within_its_limits_when_a_receiver_stalls_and_loses_nothing) {
  const cluster::ToolResult result = Clustix({"--stall", "2"});
  EXPECT_EQ(result.status, 0) << result.errors << result.output;
  EXPECT_THAT(result.output, HasSubstr("the other lane"));
  EXPECT_THAT(result.output, HasSubstr("process is stopped"));
}

TEST(BenchMsg, Tells_wrong_usage_from_what_cannot_be_done) {
  EXPECT_EQ(cluster::ExitCode(Clustix({"--modes", "fast"}).status), 2);
  EXPECT_EQ(cluster::ExitCode(Clustix({"--peers", "carrier-pigeon"}).status), 2);
  EXPECT_EQ(cluster::ExitCode(Clustix({"--cut", "soon"}).status), 2);
  EXPECT_EQ(cluster::ExitCode(Clustix({"--stall", "0"}).status), 2);
  EXPECT_EQ(cluster::ExitCode(Clustix({"--stall", "1", "--beside-bulk"}).status), 2);
  const cluster::ToolResult congestion = Clustix({"--congestion", "none-such"});
  EXPECT_EQ(cluster::ExitCode(congestion.status), 1);
  EXPECT_THAT(congestion.errors, HasSubstr("none-such"));
}

TEST(BenchMsg, Lists_all_peers) {
  const cluster::ToolResult result = Clustix({"--list-peers"});
  EXPECT_EQ(result.status, 0);
  for (const KnownPeer& peer : KnownPeers()) {
    EXPECT_THAT(result.output, HasSubstr(std::string(peer.name)));
  }
}

}  // namespace
}  // namespace clustix::bench
