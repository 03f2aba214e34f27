// SPDX-License-Identifier: Apache-2.0
#include "daemon/memory_account.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace clustix::daemon {
namespace {

constexpr uid_t kUser = 1000;

TEST(MemoryAccount, Bounds_a_user_all_users_and_root) {
  MemoryAccount account(400);
  std::vector<MemoryAccount::Charge> held;
  held.push_back(account.Take(kUser, 60));
  held.push_back(account.Take(kUser, 40));
  EXPECT_TRUE(held[0] && held[1]);
  EXPECT_FALSE(account.Take(kUser, 1));
  held.push_back(account.Take(kUser + 1, 100));
  held.push_back(account.Take(kUser + 2, 100));
  EXPECT_TRUE(held[2] && held[3]);
  EXPECT_FALSE(account.Take(kUser + 3, 1)) << "the rest is root's";
  held.push_back(account.Take(0, 100));
  EXPECT_TRUE(held[4]);
  EXPECT_FALSE(account.Take(0, 1));
  EXPECT_FALSE(account.Take(0, SIZE_MAX));
  EXPECT_EQ(account.bytes(), 400u);
  held.clear();
  EXPECT_EQ(account.bytes(), 0u);
  EXPECT_TRUE(account.Take(kUser, 100));
}

TEST(MemoryAccount, Moves_a_charge_without_counting_it_twice) {
  MemoryAccount account(400);
  MemoryAccount::Charge first = account.Take(kUser, 10);
  MemoryAccount::Charge second = std::move(first);
  EXPECT_EQ(account.bytes(), 10u);
  second = account.Take(kUser, 20);
  EXPECT_EQ(account.bytes(), 20u);
  second = {};
  EXPECT_EQ(account.bytes(), 0u);
}

}  // namespace
}  // namespace clustix::daemon
