// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/barrier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "lib/base/pause.h"

namespace clustix::cache {
namespace {

// Dekker's question: two threads store a word each and then load the other's. Without fences both
// may load the old value, and on two cores do, within some thousand rounds.
class FenceTest : public testing::TestWithParam<bool> {
 protected:
  // Both threads leave it at nearly the same moment.
  void Meet(uint64_t round) {
    arrived_.fetch_add(1);
    for (int looks = 0; arrived_.load() < 2 * round; ++looks) {
      looks % 64 == 63 ? std::this_thread::yield() : base::PauseCpu();
    }
  }
  std::atomic<uint64_t> arrived_{0};
  alignas(64) std::atomic<uint64_t> client_{0};
  alignas(64) std::atomic<uint64_t> daemon_{0};
};

TEST_P(FenceTest, Lets_one_of_both_sides_see_the_other) {
  constexpr uint64_t kRounds = 3'000;
  HeavyFence heavy(GetParam());
  const LightFence light = LightFence::Register(heavy.kind());
  std::atomic<uint64_t> client_saw{0};
  std::thread client([&] {
    for (uint64_t round = 1; round <= kRounds; ++round) {
      Meet(2 * round - 1);
      client_.store(round, std::memory_order_relaxed);
      light.Pass();
      client_saw.store(daemon_.load(std::memory_order_relaxed), std::memory_order_relaxed);
      Meet(2 * round);
    }
  });
  uint64_t missed = 0;
  for (uint64_t round = 1; round <= kRounds; ++round) {
    Meet(2 * round - 1);
    daemon_.store(round, std::memory_order_relaxed);
    heavy.Pass();
    const uint64_t daemon_saw = client_.load(std::memory_order_relaxed);
    Meet(2 * round);
    if (daemon_saw != round && client_saw.load(std::memory_order_relaxed) != round) ++missed;
  }
  client.join();
  EXPECT_EQ(missed, 0u);
}

TEST(Fence, Is_the_clients_own_where_the_daemon_has_no_membarrier) {
  EXPECT_EQ(HeavyFence(false).kind(), FenceKind::kFull);
  EXPECT_TRUE(LightFence::Register(FenceKind::kFull).full());
}

INSTANTIATE_TEST_SUITE_P(Fences, FenceTest, testing::Bool(), [](const auto& allowed) {
  return allowed.param ? "membarrier" : "full_fence";
});

}  // namespace
}  // namespace clustix::cache
