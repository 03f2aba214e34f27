// SPDX-License-Identifier: Apache-2.0
#include "lib/base/spin_policy.h"

#include <gtest/gtest.h>

namespace clustix::base {
namespace {

constexpr uint64_t kLimit = 50'000;

class SpinPolicyTest : public testing::Test {
 protected:
  // One sleep that is due; true: the policy looked out before it.
  bool Sleep(bool found) {
    now_ += 1000;
    if (policy_.Budget(now_) == 0) return false;
    policy_.Report(found, 100);
    return true;
  }
  // How many of the next `sleeps` it looks out before, in vain.
  int CountVain(int sleeps) {
    int looked = 0;
    for (int i = 0; i < sleeps; ++i) looked += Sleep(false) ? 1 : 0;
    return looked;
  }

  bool idle_ = true;
  int asked_ = 0;
  uint64_t now_ = 0;
  SpinPolicy policy_{kLimit, [this] {
                       ++asked_;
                       return idle_;
                     }};
};

TEST_F(SpinPolicyTest, Looks_out_as_long_as_it_pays) {
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(Sleep(true));
  EXPECT_EQ(policy_.Budget(now_ + 1), kLimit);
}

TEST_F(SpinPolicyTest, Looks_out_rarely_once_it_does_not_pay) {
  EXPECT_EQ(CountVain(SpinPolicy::kPatience), SpinPolicy::kPatience);
  EXPECT_EQ(CountVain(10 * SpinPolicy::kTryAgain), 10);
}

TEST_F(SpinPolicyTest, Comes_back_when_it_pays_again) {
  CountVain(100);
  int sleeps = 0;
  while (!Sleep(true)) ASSERT_LT(++sleeps, SpinPolicy::kTryAgain);
  EXPECT_TRUE(Sleep(true));
}

TEST_F(SpinPolicyTest, Stops_at_once_when_somebody_else_has_had_the_core) {
  ASSERT_NE(policy_.Budget(1000), 0u);
  policy_.Report(true, SpinPolicy::kPreemptedNs);
  EXPECT_EQ(policy_.Budget(2000), 0u);
}

TEST_F(SpinPolicyTest, Leaves_busy_cores_alone_and_asks_for_them_seldom) {
  idle_ = false;
  EXPECT_EQ(policy_.Budget(1), 0u);
  idle_ = true;
  EXPECT_EQ(policy_.Budget(SpinPolicy::kAskBusyNs), 0u);
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(policy_.Budget(1 + SpinPolicy::kAskBusyNs), kLimit);
  EXPECT_EQ(policy_.Budget(SpinPolicy::kAskBusyNs + SpinPolicy::kAskIdleNs), kLimit);
  EXPECT_EQ(asked_, 2);
  EXPECT_EQ(policy_.Budget(1 + SpinPolicy::kAskBusyNs + SpinPolicy::kAskIdleNs), kLimit);
  EXPECT_EQ(asked_, 3);
}

TEST(SpinPolicy, Never_looks_out_without_a_limit) {
  SpinPolicy policy(0, [] { return true; });
  EXPECT_EQ(policy.Budget(1), 0u);
}

}  // namespace
}  // namespace clustix::base
