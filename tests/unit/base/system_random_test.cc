// SPDX-License-Identifier: Apache-2.0
#include "lib/base/system_random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace clustix::base {
namespace {

TEST(SystemRandom, Fills_two_buffers_differently) {
  std::array<uint8_t, 32> a{}, b{};
  FillRandom(a.data(), a.size());
  FillRandom(b.data(), b.size());
  EXPECT_NE(a, b);
}

TEST(SystemRandom, Fills_buffers_that_need_more_than_one_call) {
  std::vector<uint8_t> data(1 << 20);
  FillRandom(data.data(), data.size());
  EXPECT_TRUE(std::any_of(data.end() - 64, data.end(), [](uint8_t byte) { return byte != 0; }));
}

TEST(SystemRandom, Ids_are_never_zero_and_differ) {
  const uint64_t id = RandomId();
  EXPECT_NE(id, 0u);
  EXPECT_NE(id, RandomId());
}

}  // namespace
}  // namespace clustix::base
