// SPDX-License-Identifier: Apache-2.0
#include "lib/io/timer_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace clustix::io {
namespace {

class TimerQueueTest : public testing::Test {
 protected:
  std::function<void()> Append(char c) {
    return [this, c] { ran_ += c; };
  }
  void RunDue(TimeNs now) {
    const TimerId limit = queue_.next_id();
    while (auto task = queue_.TakeDue(now, limit)) task();
  }
  TimerQueue queue_;
  std::string ran_;
};

TEST_F(TimerQueueTest, Runs_by_moment_and_then_by_age) {
  queue_.Add(30, Append('d'));
  queue_.Add(10, Append('a'));
  queue_.Add(20, Append('b'));
  queue_.Add(20, Append('c'));
  EXPECT_EQ(queue_.Next(), 10u);
  RunDue(9);
  EXPECT_EQ(ran_, "");
  RunDue(20);
  EXPECT_EQ(ran_, "abc");
  EXPECT_EQ(queue_.Next(), 30u);
  RunDue(100);
  EXPECT_EQ(ran_, "abcd");
  EXPECT_EQ(queue_.Next(), kNever);
}

TEST_F(TimerQueueTest, Cancelled_timers_do_not_run_and_cancel_only_once) {
  const TimerId a = queue_.Add(10, Append('a'));
  const TimerId b = queue_.Add(10, Append('b'));
  EXPECT_NE(a, 0u);
  EXPECT_TRUE(queue_.Cancel(a));
  EXPECT_FALSE(queue_.Cancel(a));
  RunDue(10);
  EXPECT_EQ(ran_, "b");
  EXPECT_FALSE(queue_.Cancel(b));
  EXPECT_FALSE(queue_.Cancel(0));
}

TEST_F(TimerQueueTest, A_due_timer_can_be_cancelled_by_one_that_runs_before_it) {
  TimerId second = 0;
  queue_.Add(10, [&] { EXPECT_TRUE(queue_.Cancel(second)); });
  second = queue_.Add(10, Append('x'));
  RunDue(10);
  EXPECT_EQ(ran_, "");
}

TEST_F(TimerQueueTest, A_timer_that_arms_another_for_the_past_does_not_run_it_in_the_same_pass) {
  queue_.Add(10, [&] { queue_.Add(5, Append('n')); });
  RunDue(10);
  EXPECT_EQ(ran_, "");
  EXPECT_EQ(queue_.Next(), 5u);
  RunDue(10);
  EXPECT_EQ(ran_, "n");
}

TEST_F(TimerQueueTest, Cancelling_releases_what_the_task_holds) {
  auto held = std::make_shared<int>(1);
  const TimerId timer = queue_.Add(10, [held] {});
  EXPECT_EQ(held.use_count(), 2);
  queue_.Cancel(timer);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace clustix::io
