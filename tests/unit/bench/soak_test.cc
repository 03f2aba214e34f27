// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/soak.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace clustix::bench {
namespace {

using nlohmann::json;

const json kCut = {{"cuts", 9},
                   {"disconnects", 9},
                   {"resent", 4},
                   {"sent", 1000},
                   {"lost", 0},
                   {"duplicated", 0},
                   {"reordered", 0},
                   {"corrupt", 0},
                   {"cut_msgs_per_s", 10.5},
                   {"uncut_msgs_per_s", 12}};

TEST(Soak, Reads_what_came_of_cuts) {
  const absl::StatusOr<CutResult> result = ParseCut(kCut.dump());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->cuts, 9u);
  EXPECT_EQ(result->cut_msgs_per_s, 10.5);
  EXPECT_TRUE(result->counts.clean());
}

TEST(Soak, Is_clean_only_if_all_that_can_go_wrong_is_zero) {
  for (const char* key : {"lost", "duplicated", "reordered", "corrupt"}) {
    json cut = kCut;
    cut[key] = 1;
    ASSERT_TRUE(ParseCut(cut.dump()).ok());
    EXPECT_FALSE(ParseCut(cut.dump())->counts.clean()) << key;
  }
}

TEST(Soak, Refuses_output_that_lacks_a_count) {
  for (const auto& [key, value] : kCut.items()) {
    json cut = kCut;
    cut.erase(key);
    EXPECT_FALSE(ParseCut(cut.dump()).ok()) << key;
    cut[key] = -1;
    EXPECT_FALSE(ParseCut(cut.dump()).ok()) << key;
  }
  EXPECT_FALSE(ParseCut("").ok());
  EXPECT_FALSE(ParseCut("Killed").ok());
}

TEST(Soak, Wants_figures_of_every_node) {
  const json node = {{"node", 2}, {"msgs_per_s", 5.0}, {"p50_us", 1}, {"p99_us", 2}};
  EXPECT_TRUE(ParseMany(json({{"nodes", {node, node}}}).dump(), 2).ok());
  EXPECT_FALSE(ParseMany(json({{"nodes", {node}}}).dump(), 2).ok());
  EXPECT_FALSE(ParseMany(json({{"nodes", {node, 7}}}).dump(), 2).ok());
  EXPECT_FALSE(ParseMany("{}", 0).ok());
}

json BulkRound(double idle_us, double beside_us) {
  return {{"idle_p50_us", idle_us / 2},
          {"idle_p99_us", idle_us},
          {"beside_p50_us", beside_us / 2},
          {"beside_p99_us", beside_us},
          {"mb_per_s", 1000}};
}

json Bulk() {
  return {{"rounds", {BulkRound(20, 90), BulkRound(10, 30), BulkRound(30, 60)}},
          {"streamed", 7},
          {"sent", 1000},
          {"lost", 0},
          {"duplicated", 0},
          {"reordered", 0},
          {"corrupt", 0}};
}

TEST(Soak, Takes_each_figures_median_beside_a_stream) {
  const absl::StatusOr<BulkResult> result = ParseBulk(Bulk().dump());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->idle_p50_us, 10);
  EXPECT_EQ(result->idle_p99_us, 20);
  EXPECT_EQ(result->beside_p50_us, 30);
  EXPECT_EQ(result->beside_p99_us, 60);
  EXPECT_EQ(result->mb_per_s, 1000);
  EXPECT_EQ(result->streamed, 7u);
  EXPECT_EQ(result->counts.sent, 1000u);
  EXPECT_TRUE(result->counts.clean());
}

TEST(Soak, Refuses_a_stream_that_lacks_a_figure_or_a_round) {
  const json good = Bulk(), round = good["rounds"][1];
  for (const auto& [key, value] : good.items()) {
    json bulk = Bulk();
    bulk.erase(key);
    EXPECT_FALSE(ParseBulk(bulk.dump()).ok()) << key;
  }
  for (const auto& [key, value] : round.items()) {
    json bulk = Bulk();
    bulk["rounds"][1].erase(key);
    EXPECT_FALSE(ParseBulk(bulk.dump()).ok()) << key;
  }
  json bulk = Bulk();
  bulk["rounds"] = json::array();
  EXPECT_FALSE(ParseBulk(bulk.dump()).ok());
  bulk["rounds"] = {1, 2};
  EXPECT_FALSE(ParseBulk(bulk.dump()).ok());
}

json Stall() {
  const json calls = {{"node", 3},
                      {"before_per_s", 1000},
                      {"before_p99_us", 50},
                      {"stalled_per_s", 100},
                      {"stalled_p99_us", 500},
                      {"slowest_per_s", 20}};
  return {{"stalled_s", 60},
          {"accepted_stalled", 0},
          {"limit_bytes", 16000},
          {"queue_most_bytes", 16000},
          {"rss_before_bytes", 50000},
          {"rss_most_bytes", 82000},
          {"watched", {calls}},
          {"resumed_s", 0.5},
          {"sent", 1000},
          {"lost", 0},
          {"duplicated", 0},
          {"reordered", 0},
          {"corrupt", 0}};
}

TEST(Soak, Reads_what_came_of_a_stalled_receiver) {
  const absl::StatusOr<StallResult> result = ParseStall(Stall().dump());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->stalled_s, 60);
  EXPECT_EQ(result->queue_most_bytes, 16000u);
  ASSERT_EQ(result->watched.size(), 1u);
  EXPECT_EQ(result->watched[0].node, 3u);
  EXPECT_EQ(result->watched[0].slowest_per_s, 20);
  const json good = Stall(), calls = good["watched"][0];
  for (const auto& [key, value] : good.items()) {
    json stall = Stall();
    stall.erase(key);
    EXPECT_FALSE(ParseStall(stall.dump()).ok()) << key;
  }
  for (const auto& [key, value] : calls.items()) {
    json stall = Stall();
    stall["watched"][0].erase(key);
    EXPECT_FALSE(ParseStall(stall.dump()).ok()) << key;
  }
}

TEST(Soak, Complains_of_each_limit_that_a_stalled_receiver_breaks) {
  EXPECT_TRUE(Complaints(*ParseStall(Stall().dump())).empty());
  auto complaints_with = [](const char* key, uint64_t value) {
    json stall = Stall();
    stall[key] = value;
    return Complaints(*ParseStall(stall.dump())).size();
  };
  EXPECT_EQ(complaints_with("accepted_stalled", 1), 1u);
  EXPECT_EQ(complaints_with("queue_most_bytes", 16001), 1u);
  EXPECT_EQ(complaints_with("rss_most_bytes", 82001), 1u);
  for (const char* key : {"lost", "duplicated", "reordered", "corrupt"}) {
    EXPECT_EQ(complaints_with(key, 1), 1u) << key;
  }
  json stall = Stall();
  stall["watched"][0]["stalled_per_s"] = 99;
  EXPECT_EQ(Complaints(*ParseStall(stall.dump())).size(), 1u);
  stall = Stall();
  stall["watched"][0]["before_per_s"] = 0;
  EXPECT_EQ(Complaints(*ParseStall(stall.dump())).size(), 1u);
}

}  // namespace
}  // namespace clustix::bench
