// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/histogram.h"

#include <gtest/gtest.h>

#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

TEST(Histogram, Knows_every_value_to_less_than_two_percent) {
  for (uint64_t ns = 1; ns < 1'000'000'000'000; ns += 1 + ns / 1000) {
    Histogram histogram;
    histogram.Add(ns);
    const uint64_t upper = histogram.Percentile(1);
    ASSERT_GE(upper, ns);
    ASSERT_LE(static_cast<double>(upper - ns), 0.016 * static_cast<double>(ns)) << ns;
  }
}

TEST(Histogram, Has_buckets_in_order_that_count_everything) {
  Histogram histogram;
  for (uint64_t ns = 0; ns < 100'000; ++ns) histogram.Add(ns);
  uint64_t total = 0, last = 0;
  for (const Histogram::Bucket& bucket : histogram.Buckets()) {
    if (total > 0) {
      EXPECT_GT(bucket.upper_ns, last);
    }
    last = bucket.upper_ns;
    total += bucket.count;
  }
  EXPECT_EQ(total, 100'000u);
  EXPECT_EQ(histogram.total(), 100'000u);
}

TEST(Histogram, Percentiles_are_those_of_the_sorted_values) {
  Histogram histogram;
  for (uint64_t ns = 1; ns <= 100; ++ns) histogram.Add(ns);
  EXPECT_EQ(histogram.Percentile(0), 1u);
  EXPECT_EQ(histogram.Percentile(0.5), 50u);
  EXPECT_EQ(histogram.Percentile(0.99), 99u);
  EXPECT_EQ(histogram.Percentile(1), 100u);
}

TEST(Histogram, Of_nothing_has_no_percentiles) {
  EXPECT_EQ(Histogram().Percentile(0.5), 0u);
  EXPECT_TRUE(Histogram().Buckets().empty());
}

TEST(Histogram, Counts_what_is_longer_than_the_longest_in_the_last_bucket) {
  Histogram histogram;
  histogram.Add(UINT64_MAX);
  histogram.Add(uint64_t{1} << 41);
  ASSERT_EQ(histogram.Buckets().size(), 1u);
  EXPECT_EQ(histogram.Buckets()[0].count, 2u);
}

TEST(Histogram, Adds_up) {
  Histogram one, other;
  one.Add(10);
  other.Add(10);
  other.Add(5000);
  one.Add(other);
  EXPECT_EQ(one.total(), 3u);
  ASSERT_EQ(one.Buckets().size(), 2u);
  EXPECT_EQ(one.Buckets()[0].count, 2u);
}

TEST(Meter, Samples_one_message_in_so_many_and_counts_all) {
  Meter meter(1'000'000'000, 17);
  uint64_t sampled = 0;
  for (int i = 0; i < 170; ++i) {
    const uint64_t begin = meter.Begin();
    sampled += begin != 0;
    meter.End(begin);
  }
  EXPECT_EQ(sampled, 10u);
  EXPECT_EQ(meter.messages(), 170u);
  EXPECT_EQ(meter.latency().total(), 10u);
}

TEST(Meter, Of_no_time_is_over_at_once_and_samples_none_if_told_so) {
  Meter meter(0, 0);
  EXPECT_FALSE(meter.running());
  EXPECT_EQ(meter.Begin(), 0u);
  meter.End(0, 40);
  EXPECT_EQ(meter.messages(), 40u);
}

TEST(Meter, Adds_up_the_parts_of_threads) {
  Meter meter(1'000'000'000, 1);
  Meter part = meter.Part();
  EXPECT_TRUE(part.running());
  part.End(part.Begin());
  meter.Join(part);
  EXPECT_EQ(meter.messages(), 1u);
  EXPECT_EQ(meter.latency().total(), 1u);
}

}  // namespace
}  // namespace clustix::bench
