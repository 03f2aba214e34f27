// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/supervisor.h"

#include <gtest/gtest.h>

namespace clustix::cluster {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, Grows_while_the_program_keeps_dying_soon_and_has_a_bound) {
  Backoff backoff;
  milliseconds last = backoff.Next(milliseconds(0));
  EXPECT_EQ(last, Backoff::kFirst);
  for (int i = 0; i < 20; ++i) {
    milliseconds next = backoff.Next(milliseconds(5));
    EXPECT_TRUE(next > last || next == Backoff::kLongest);
    last = next;
  }
  EXPECT_EQ(last, Backoff::kLongest);
}

TEST(Backoff, Starts_over_after_the_program_was_healthy) {
  Backoff backoff;
  for (int i = 0; i < 5; ++i) backoff.Next(milliseconds(0));
  EXPECT_EQ(backoff.Next(Backoff::kHealthy), Backoff::kFirst);
  EXPECT_GT(backoff.Next(milliseconds(0)), Backoff::kFirst);
}

}  // namespace
}  // namespace clustix::cluster
