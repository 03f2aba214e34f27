// SPDX-License-Identifier: Apache-2.0
#include "daemon/file_readers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>

namespace clustix::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uid_t kAda = 1000, kBob = 1001;

// Reads that last until the test ends them, by a clock that the test moves.
class FileReadersTest : public ::testing::Test {
 protected:
  ~FileReadersTest() override {
    end_.set_value();
    readers_.Stop();
  }

  // One that does not end; returns when it has begun.
  void Begin(uid_t owner) {
    auto begun = std::make_shared<std::promise<void>>();
    ASSERT_TRUE(readers_.Submit(owner, [this, begun](bool) {
      begun->set_value();
      ended_.wait();
    }));
    begun->get_future().wait();
  }
  // Whether its turn comes, now or later, in time.
  std::future<bool> Submit(uid_t owner) {
    auto in_time = std::make_shared<std::promise<bool>>();
    std::future<bool> result = in_time->get_future();
    EXPECT_TRUE(readers_.Submit(owner, [in_time](bool value) { in_time->set_value(value); }));
    return result;
  }
  void Pass(milliseconds time) { passed_ = passed_.load() + time; }

  std::promise<void> end_;
  std::shared_future<void> ended_ = end_.get_future().share();
  std::atomic<milliseconds> passed_ = milliseconds(0);
  FileReaders readers_{{.threads = 3,
                        .per_owner = 2,
                        .waiting_max = 2,
                        .deadline = milliseconds(800),
                        .now = [this] { return steady_clock::time_point(passed_.load()); }}};
};

TEST_F(FileReadersTest, Leave_a_thread_to_others_when_the_files_of_one_owner_do_not_come) {
  Begin(kAda);
  Begin(kAda);
  std::future<bool> waits = Submit(kAda);
  EXPECT_TRUE(Submit(kBob).get());
  EXPECT_EQ(waits.wait_for(milliseconds(0)), std::future_status::timeout);
}

TEST_F(FileReadersTest, Turn_away_at_once_what_would_wait_for_files_that_do_not_come) {
  Begin(kAda);
  Begin(kAda);
  Pass(milliseconds(800));
  EXPECT_FALSE(readers_.Submit(kAda, [](bool) {}));
  EXPECT_TRUE(Submit(kBob).get());
  Begin(kBob);
  Pass(milliseconds(800));  // all three hang
  EXPECT_FALSE(readers_.Submit(kBob, [](bool) {}));
}

TEST_F(FileReadersTest, Do_not_begin_what_nobody_waits_for_any_more) {
  Begin(kAda);
  auto end = std::make_shared<std::promise<void>>();
  ASSERT_TRUE(readers_.Submit(kAda, [end](bool) { end->get_future().wait(); }));
  std::future<bool> late = Submit(kAda);
  Pass(milliseconds(800));
  end->set_value();
  EXPECT_FALSE(late.get());
  EXPECT_TRUE(Submit(kAda).get());
}

TEST_F(FileReadersTest, Have_a_queue_with_an_end) {
  Begin(kAda);
  Begin(kAda);
  Submit(kAda);
  Submit(kAda);
  EXPECT_FALSE(readers_.Submit(kAda, [](bool) {}));
  EXPECT_FALSE(readers_.Submit(kBob, [](bool) {}));
}

}  // namespace
}  // namespace clustix::daemon
