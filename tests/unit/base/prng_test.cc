// SPDX-License-Identifier: Apache-2.0
#include "lib/base/prng.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace clustix::base {
namespace {

// The first outputs of the authors' xoshiro256starstar.c, seeded by their splitmix64.c with 0.
TEST(Prng, Draws_the_numbers_of_the_reference_implementation) {
  Prng prng(0);
  EXPECT_EQ(prng.Next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(prng.Next(), 0xbf6e1f784956452au);
  EXPECT_EQ(prng.Next(), 0x1a5f849d4933e6e0u);
}

TEST(Prng, Same_seed_draws_the_same_and_another_seed_does_not) {
  Prng a(42), b(42), c(43);
  int equal = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t drawn = a.Next();
    EXPECT_EQ(drawn, b.Next());
    equal += drawn == c.Next();
  }
  EXPECT_EQ(equal, 0);
}

TEST(Prng, Below_covers_the_range_and_stays_in_it) {
  Prng prng(7);
  std::array<int, 6> seen{};
  for (int i = 0; i < 6000; ++i) ++seen.at(prng.Below(6));
  for (int count : seen) {
    EXPECT_GT(count, 800);
    EXPECT_LT(count, 1200);
  }
  EXPECT_EQ(prng.Below(1), 0u);
}

TEST(Prng, Between_includes_both_ends) {
  Prng prng(7);
  std::set<uint64_t> seen;
  for (int i = 0; i < 100; ++i) seen.insert(prng.Between(10, 12));
  EXPECT_EQ(seen, (std::set<uint64_t>{10, 11, 12}));
  EXPECT_EQ(prng.Between(5, 5), 5u);
  prng.Between(0, UINT64_MAX);  // the whole range has no bound that fits 64 bits
}

TEST(Prng, Chance_is_never_at_zero_and_always_at_one) {
  Prng prng(7);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(prng.Chance(0, 10));
    EXPECT_TRUE(prng.Chance(10, 10));
  }
}

TEST(Prng, Fill_writes_exactly_what_was_asked) {
  for (size_t bytes = 0; bytes < 20; ++bytes) {
    std::array<uint8_t, 24> data{};
    Prng(3).Fill(data.data(), bytes);
    for (size_t i = bytes; i < data.size(); ++i) EXPECT_EQ(data[i], 0) << bytes;
  }
}

}  // namespace
}  // namespace clustix::base
