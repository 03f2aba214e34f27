// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/lease.h"

#include <gtest/gtest.h>

#include "tests/unit/cache/test_node.h"

namespace clustix::cache {
namespace {

class LeaseTest : public testing::TestWithParam<LeaseClockKind> {
 protected:
  void SetUp() override {
    if (GetParam() == LeaseClockKind::kTsc && Lease::BestClock() != LeaseClockKind::kTsc) {
      GTEST_SKIP() << "Linux does not trust this machine's time-stamp counter";
    }
    page_.clock = GetParam();
  }
  NodePage page_{};
};

TEST_P(LeaseTest, Does_not_hold_before_it_is_granted_nor_once_it_is_revoked) {
  Lease lease(&page_, GetParam());
  EXPECT_FALSE(LeaseHolds(page_));
  lease.ExtendUntil(MonotonicNs() + 3600 * kNsPerSecond);
  EXPECT_TRUE(LeaseHolds(page_));
  lease.Revoke();
  EXPECT_FALSE(LeaseHolds(page_));
}

TEST_P(LeaseTest, Holds_no_longer_than_its_deadline) {
  Lease lease(&page_, GetParam());
  for (int round = 0; round < 20; ++round) {
    const uint64_t deadline = MonotonicNs() + 20 * kLeaseMarginNs;
    lease.ExtendUntil(deadline);
    for (;;) {
      const uint64_t before = MonotonicNs();
      if (!LeaseHolds(page_)) break;
      ASSERT_LT(before, deadline);
    }
  }
}

TEST_P(LeaseTest, Can_be_cut_short) {
  Lease lease(&page_, GetParam());
  lease.ExtendUntil(MonotonicNs() + 3600 * kNsPerSecond);
  lease.ExtendUntil(MonotonicNs());
  EXPECT_FALSE(LeaseHolds(page_));
}

TEST_P(LeaseTest, Is_none_if_its_deadline_is_within_the_margin) {
  Lease lease(&page_, GetParam());
  lease.ExtendUntil(MonotonicNs() + kLeaseMarginNs);
  EXPECT_FALSE(LeaseHolds(page_));
}

INSTANTIATE_TEST_SUITE_P(Clocks, LeaseTest,
                         testing::Values(LeaseClockKind::kTsc, LeaseClockKind::kMonotonic),
                         [](const auto& clock) {
                           return clock.param == LeaseClockKind::kTsc ? "tsc" : "monotonic";
                         });

}  // namespace
}  // namespace clustix::cache
