// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace clustix::bench {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Labels(const Axis& axis) {
  std::vector<std::string> labels;
  for (const Tick& tick : axis.ticks()) labels.push_back(tick.label);
  return labels;
}

TEST(Axis, Spans_its_values_up_to_the_next_round_figures) {
  Axis axis = Axis::Logarithmic("", {3, 40});
  EXPECT_THAT(Labels(axis), ElementsAre("2", "5", "10", "20", "50"));
  EXPECT_NEAR(axis.Place(2), 0, 1e-9);
  EXPECT_NEAR(axis.Place(10), 0.5, 1e-9);
  EXPECT_NEAR(axis.Place(50), 1, 1e-9);
  EXPECT_LT(axis.Place(1), 0);
}

TEST(Axis, Round_figures_are_ends_themselves) {
  EXPECT_THAT(Labels(Axis::Logarithmic("", {0.1, 0.5})), ElementsAre("0.1", "0.2", "0.5"));
  EXPECT_THAT(Labels(Axis::Logarithmic("", {1000, 10000})), ElementsAre("1k", "2k", "5k", "10k"));
}

TEST(Axis, A_long_one_has_marks_at_powers_of_ten_alone) {
  EXPECT_THAT(Labels(Axis::Logarithmic("", {10, 20'000'000})),
              ElementsAre("10", "100", "1k", "10k", "100k", "1M", "10M"));
}

TEST(Axis, Has_a_length_for_one_value_and_for_none) {
  EXPECT_THAT(Labels(Axis::Logarithmic("", {10, 10})), ElementsAre("5", "10", "20"));
  EXPECT_THAT(Labels(Axis::Logarithmic("", {})), ElementsAre("0.5", "1", "2"));
  EXPECT_THAT(Labels(Axis::Logarithmic("", {0, NAN, INFINITY, -1})), ElementsAre("0.5", "1", "2"));
  EXPECT_NEAR(Axis::LogarithmicAt("", {{64, "64 B"}}).Place(64), 0.5, 1e-9);
}

TEST(Axis, Has_no_place_for_what_is_not_positive_on_a_logarithm) {
  Axis axis = Axis::Logarithmic("", {1, 10});
  EXPECT_FALSE(axis.Shows(0));
  EXPECT_FALSE(axis.Shows(-1));
  EXPECT_FALSE(axis.Shows(NAN));
  EXPECT_FALSE(axis.Shows(INFINITY));
  EXPECT_TRUE(axis.Shows(1e-9));
}

TEST(Axis, Given_marks_have_room_beside_them) {
  Axis axis = Axis::LogarithmicAt("", {{64, "64 B"}, {4096, "4 KiB"}, {0, "none"}});
  EXPECT_THAT(Labels(axis), ElementsAre("64 B", "4 KiB"));
  EXPECT_GT(axis.Place(64), 0);
  EXPECT_LT(axis.Place(4096), 1);
}

TEST(Axis, Every_nine_is_as_long_as_the_one_before) {
  Axis axis = Axis::Nines("");
  EXPECT_NEAR(axis.Place(0), 0, 1e-9);
  EXPECT_NEAR(axis.Place(0.9), 1.0 / 3, 1e-9);
  EXPECT_NEAR(axis.Place(0.99), 2.0 / 3, 1e-9);
  EXPECT_NEAR(axis.Place(0.999), 1, 1e-9);
  EXPECT_GT(axis.Place(1), 1);
  EXPECT_TRUE(std::isfinite(axis.Place(1)));
}

}  // namespace
}  // namespace clustix::bench
