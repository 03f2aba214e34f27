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
  EXPECT_TRUE(result->clean());
}

TEST(Soak, Is_clean_only_if_all_that_can_go_wrong_is_zero) {
  for (const char* key : {"lost", "duplicated", "reordered", "corrupt"}) {
    json cut = kCut;
    cut[key] = 1;
    ASSERT_TRUE(ParseCut(cut.dump()).ok());
    EXPECT_FALSE(ParseCut(cut.dump())->clean()) << key;
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

}  // namespace
}  // namespace clustix::bench
