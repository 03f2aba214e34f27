// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/deadlines.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <vector>

#include "tests/unit/objects/hand_loop.h"

namespace clustix::daemon {
namespace {

constexpr uint64_t kMs = HandLoop::kMs;

class DeadlinesTest : public testing::Test {
 protected:
  HandLoop loop_;
  std::vector<kddm::OpId> passed_;
  std::function<void()> also_;
  Deadlines deadlines_{loop_, [this](kddm::OpId op) {
                         passed_.push_back(op);
                         if (also_) also_();
                       }};
};

TEST_F(DeadlinesTest, Pass_in_their_order_and_not_too_soon) {
  const io::TimeNs begin = loop_.Now();
  deadlines_.Add(1, 20);
  deadlines_.Add(2, 10);
  deadlines_.Add(3, 10);
  EXPECT_EQ(loop_.timers(), 1u);
  const io::TimeNs first = *loop_.Next();
  EXPECT_GE(first, begin + 10 * kMs);
  EXPECT_LE(first, begin + 11 * kMs);
  EXPECT_EQ(passed_, (std::vector<kddm::OpId>{2, 3}));
  EXPECT_GE(*loop_.Next(), begin + 20 * kMs);
  EXPECT_EQ(passed_, (std::vector<kddm::OpId>{2, 3, 1}));
  EXPECT_EQ(loop_.Next(), std::nullopt);
}

TEST_F(DeadlinesTest, Of_what_has_ended_are_forgotten) {
  for (kddm::OpId op = 1; op <= 1000; ++op) deadlines_.Remove(deadlines_.Add(op, op));
  EXPECT_EQ(deadlines_.size(), 0u);
  while (loop_.Next()) {
  }
  EXPECT_TRUE(passed_.empty());
  deadlines_.Remove(17);
}

TEST_F(DeadlinesTest, May_be_added_while_others_pass) {
  also_ = [this] {
    if (passed_.size() < 3) deadlines_.Add(passed_.size() + 1, 1);
  };
  deadlines_.Add(1, 1);
  while (loop_.Next()) {
  }
  EXPECT_EQ(passed_, (std::vector<kddm::OpId>{1, 2, 3}));
}

TEST_F(DeadlinesTest, Of_more_than_any_time_are_times) {
  deadlines_.Add(1, UINT64_MAX);
  deadlines_.Add(2, 1);
  loop_.Next();
  EXPECT_EQ(passed_, std::vector<kddm::OpId>{2});
}

}  // namespace
}  // namespace clustix::daemon
