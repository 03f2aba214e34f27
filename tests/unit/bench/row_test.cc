// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/row.h"

#include <gtest/gtest.h>

namespace clustix::bench {
namespace {

TEST(Median, Is_the_middle_value_or_the_mean_of_the_middle_two) {
  EXPECT_EQ(Median({}), 0);
  EXPECT_EQ(Median({7}), 7);
  EXPECT_EQ(Median({9, 1, 5}), 5);
  EXPECT_EQ(Median({9, 1, 4, 6}), 5);
}

TEST(Combine, Takes_each_figures_median_of_its_own) {
  std::vector<Round> rounds = {{
                                   .messages = 100,
                                   .seconds = 1,
                                   .p50_us = 3,
                                   .p99_us = 90,
                                   .mb_per_s = 1,
                                   .cpu_us_per_msg = 5,
                                   .syscalls_per_msg = 0.5,
                                   .loadavg = 0.5,
                               },
                               {
                                   .messages = 600,
                                   .seconds = 2,
                                   .p50_us = 1,
                                   .p99_us = 80,
                                   .mb_per_s = 3,
                                   .cpu_us_per_msg = 4,
                                   .syscalls_per_msg = 0.1,
                                   .loadavg = 1.5,
                               },
                               {.messages = 200,
                                .seconds = 1,
                                .p50_us = 2,
                                .p99_us = 10,
                                .mb_per_s = 2,
                                .cpu_us_per_msg = 6,
                                .syscalls_per_msg = 0.2,
                                .loadavg = 2.5,
                                .latency = {}}};
  Row row = Combine("clustix", kSync64, rounds);
  EXPECT_EQ(row.peer, "clustix");
  EXPECT_EQ(row.test, kSync64);
  EXPECT_EQ(row.rounds, 3u);
  EXPECT_EQ(row.msgs_per_s, 200);
  EXPECT_EQ(row.msgs_per_s_min, 100);
  EXPECT_EQ(row.msgs_per_s_max, 300);
  EXPECT_EQ(row.p50_us, 2);
  EXPECT_EQ(row.p99_us, 80);
  EXPECT_EQ(row.mb_per_s, 2);
  EXPECT_EQ(row.cpu_us_per_msg, 5);
  EXPECT_EQ(row.syscalls_per_msg, 0.2);
  EXPECT_EQ(row.loadavg, 1.5);
}

TEST(Combine, Adds_up_the_latencies_of_all_rounds_by_their_bounds) {
  Round first{.latency = {{.upper_us = 1, .count = 10}, {.upper_us = 4, .count = 1}}};
  Round second{.latency = {{.upper_us = 2, .count = 5}, {.upper_us = 4, .count = 2}}};
  std::vector<LatencyBucket> expected = {{1, 10}, {2, 5}, {4, 3}};
  EXPECT_EQ(Combine("x", kSync64, {first, second}).latency, expected);
}

TEST(Combine, Survives_no_rounds_and_rounds_that_took_no_time) {
  Row none = Combine("x", kSync64, {});
  EXPECT_EQ(none.rounds, 0u);
  EXPECT_EQ(none.msgs_per_s, 0);
  Row instant = Combine("x", kSync64, {Round{.messages = 5, .seconds = 0}});
  EXPECT_EQ(instant.rounds, 1u);
  EXPECT_EQ(instant.msgs_per_s, 0);
  EXPECT_EQ(instant.msgs_per_s_max, 0);
}

}  // namespace
}  // namespace clustix::bench
