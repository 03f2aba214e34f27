// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/page_runs.h"

#include <gtest/gtest.h>

#include <vector>

#include "lib/base/prng.h"

namespace clustix::cache {
namespace {

TEST(PageRuns, Takes_the_shortest_run_that_is_long_enough) {
  PageRuns runs;
  runs.Give(0, 10);
  runs.Give(20, 3);
  EXPECT_EQ(runs.Take(3), 20u);
  EXPECT_EQ(runs.Take(3), 0u);
  EXPECT_EQ(runs.Take(8), std::nullopt);
  EXPECT_EQ(runs.Take(7), 3u);
  EXPECT_EQ(runs.free_pages(), 0u);
}

TEST(PageRuns, Joins_what_comes_back_with_both_neighbours) {
  PageRuns runs;
  runs.Give(0, 4);
  runs.Give(8, 4);
  EXPECT_EQ(runs.longest(), 4u);
  runs.Give(4, 4);
  EXPECT_EQ(runs.longest(), 12u);
  EXPECT_EQ(runs.Take(12), 0u);
}

TEST(PageRuns, Knows_how_much_is_free_at_the_end) {
  PageRuns runs;
  runs.Give(2, 3);
  EXPECT_EQ(runs.FreeBefore(5), 3u);
  EXPECT_EQ(runs.FreeBefore(6), 0u);
  EXPECT_EQ(runs.FreeBefore(2), 0u);
}

TEST(PageRuns, Never_hands_out_a_page_twice_and_loses_none) {
  constexpr uint64_t kPages = 500;
  PageRuns runs;
  runs.Give(0, kPages);
  base::Prng prng(7);
  std::vector<bool> taken(kPages);
  std::vector<std::pair<uint64_t, uint64_t>> held;
  for (int step = 0; step < 20'000; ++step) {
    if (prng.Chance(1, 2)) {
      const uint64_t count = prng.Between(1, 20);
      const std::optional<uint64_t> first = runs.Take(count);
      if (!first) continue;
      for (uint64_t page = *first; page < *first + count; ++page) {
        ASSERT_FALSE(taken[page]);
        taken[page] = true;
      }
      held.emplace_back(*first, count);
    } else if (!held.empty()) {
      std::swap(held[prng.Below(held.size())], held.back());
      const auto [first, count] = held.back();
      held.pop_back();
      for (uint64_t page = first; page < first + count; ++page) taken[page] = false;
      runs.Give(first, count);
    }
  }
  for (const auto& [first, count] : held) runs.Give(first, count);
  EXPECT_EQ(runs.longest(), kPages);
}

}  // namespace
}  // namespace clustix::cache
