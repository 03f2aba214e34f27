// SPDX-License-Identifier: Apache-2.0
#include "lib/base/look_out.h"

#include <gtest/gtest.h>

namespace clustix::base {
namespace {

constexpr uint64_t kSpinNs = 500'000;

class LookOutTest : public testing::Test {
 protected:
  // Looks out for what is there at the `found_at`th look, with a clock that goes on by `step_ns`.
  void Look(int found_at, uint64_t step_ns) {
    int looks = 0;
    LookOut(
        policy_, now_ + policy_.Budget(now_), [&] { return ++looks >= found_at; },
        [&] { return now_ += step_ns; });
    looks_ = looks;
  }

  uint64_t now_ = 0;
  int looks_ = 0;
  SpinPolicy policy_{kSpinNs, [] { return true; }};
};

TEST_F(LookOutTest, Ends_when_it_has_found_what_it_looks_for) {
  Look(1, 100);
  EXPECT_EQ(looks_, 1);
  Look(20, 100);
  EXPECT_EQ(looks_, 20);
  EXPECT_LT(now_, kSpinNs);
}

TEST_F(LookOutTest, Ends_when_the_time_is_over) {
  Look(1'000'000, 100);
  EXPECT_GE(now_, kSpinNs);
  EXPECT_LT(now_, kSpinNs + 1000);
}

TEST_F(LookOutTest, Tells_the_policy_when_somebody_else_had_the_core) {
  Look(20, SpinPolicy::kPreemptedNs);
  EXPECT_EQ(policy_.Budget(now_), 0u);
}

TEST_F(LookOutTest, Tells_the_policy_whether_it_paid) {
  for (int i = 0; i < SpinPolicy::kPatience; ++i) Look(1'000'000, 100);
  EXPECT_EQ(policy_.Budget(now_), 0u);
}

}  // namespace
}  // namespace clustix::base
