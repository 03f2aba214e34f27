// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/hold_timers.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/unit/objects/hand_loop.h"

namespace clustix::daemon {
namespace {

constexpr uint64_t kDelayMs = 10;

class HoldTimersTest : public testing::Test {
 protected:
  void Arm(uint64_t object, uint64_t token) {
    timers_.Arm({.key = {.object = object, .set = 1}, .token = token});
  }

  HandLoop loop_;
  std::vector<uint64_t> due_;  // their tokens
  std::function<void()> also_;
  HoldTimers timers_{loop_, kDelayMs* HandLoop::kMs, [this](const kddm::HoldTimer& timer) {
                       due_.push_back(timer.token);
                       if (also_) also_();
                     }};
};

TEST_F(HoldTimersTest, Are_due_when_their_time_is_over) {
  const io::TimeNs begin = loop_.Now();
  Arm(1, 1);
  loop_.Wait(3);
  Arm(2, 2);
  EXPECT_EQ(loop_.timers(), 1u);
  EXPECT_EQ(loop_.Next(), begin + kDelayMs * HandLoop::kMs);
  EXPECT_EQ(due_, std::vector<uint64_t>{1});
  EXPECT_EQ(loop_.Next(), begin + (kDelayMs + 3) * HandLoop::kMs);
  EXPECT_EQ(due_, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(loop_.Next(), std::nullopt);
}

TEST_F(HoldTimersTest, Of_an_object_are_one_however_often_it_is_contended) {
  Arm(1, 1);
  Arm(2, 2);
  loop_.Wait(1);
  for (uint64_t token = 3; token <= 100'000; ++token) Arm(1, token);
  EXPECT_EQ(timers_.size(), 2u);
  EXPECT_EQ(loop_.timers(), 1u);
  while (loop_.Next()) {
  }
  EXPECT_EQ(due_, (std::vector<uint64_t>{2, 100'000}));
  EXPECT_EQ(timers_.size(), 0u);
}

TEST_F(HoldTimersTest, May_be_armed_or_stopped_while_others_are_due) {
  also_ = [this] {
    if (due_.size() < 3) Arm(1, due_.size() + 1);
    if (due_.size() == 3) timers_.Stop();
  };
  Arm(1, 1);
  while (loop_.Next()) {
  }
  EXPECT_EQ(due_, (std::vector<uint64_t>{1, 2, 3}));
}

}  // namespace
}  // namespace clustix::daemon
