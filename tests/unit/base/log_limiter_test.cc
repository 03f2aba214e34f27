// SPDX-License-Identifier: Apache-2.0
#include "lib/base/log_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace clustix::base {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(LogLimiter, Admits_once_per_interval_and_tells_how_many_it_held_back) {
  LogLimiter limiter(60 * kSecond);
  EXPECT_EQ(limiter.Admit("peer", 5), 0u);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(limiter.Admit("peer", 5 + i * kSecond), std::nullopt);
  EXPECT_EQ(limiter.Admit("peer", 4 + 60 * kSecond), std::nullopt);
  EXPECT_EQ(limiter.Admit("peer", 5 + 60 * kSecond), 8u);
  EXPECT_EQ(limiter.Admit("peer", 5 + 120 * kSecond), 0u);
}

TEST(LogLimiter, Keys_do_not_hold_back_each_other) {
  LogLimiter limiter;
  EXPECT_EQ(limiter.Admit("a", 0), 0u);
  EXPECT_EQ(limiter.Admit("b", 0), 0u);
  EXPECT_EQ(limiter.Admit("a", 1), std::nullopt);
}

TEST(LogLimiter, A_flood_of_new_keys_shares_one_line) {
  LogLimiter limiter(60 * kSecond, 4);
  int admitted = 0;
  for (int i = 0; i < 1000; ++i) admitted += limiter.Admit(std::to_string(i), i).has_value();
  EXPECT_EQ(admitted, 5);  // four keys of their own and one for all the others
  // An interval later the old keys have made room.
  EXPECT_EQ(limiter.Admit("new", 61 * kSecond), 0u);
  EXPECT_EQ(limiter.Admit("new", 62 * kSecond), std::nullopt);
}

TEST(LogLimiter, Counts_exactly_with_many_threads) {
  LogLimiter limiter(kSecond);
  std::atomic<int> admitted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) admitted += limiter.Admit("key", 1).has_value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1);
  EXPECT_EQ(limiter.Admit("key", 1 + kSecond), 3999u);
}

}  // namespace
}  // namespace clustix::base
