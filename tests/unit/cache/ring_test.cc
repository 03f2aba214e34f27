// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/ring.h"

#include <gtest/gtest.h>

#include <memory>

namespace clustix::cache {
namespace {

struct RingTest : testing::Test {
  Word tail{0}, head{0};
  std::unique_ptr<RingSlots<Reply>> slots = std::make_unique<RingSlots<Reply>>();
  RingProducer<Reply> producer{&tail, &head, slots.get()};
  RingConsumer<Reply> consumer{&tail, &head, slots.get()};
};

TEST_F(RingTest, Hands_over_every_message_in_order) {
  uint64_t pushed = 0, popped = 0;
  Reply reply{};
  while (popped < 10 * kRingSlots) {
    for (int i = 0; i < 100; ++i) {
      reply.cookie = pushed;
      if (producer.Push(reply) == RingResult::kDone) ++pushed;
    }
    for (int i = 0; i < 77 && consumer.Pop(&reply) == RingResult::kDone; ++i) {
      ASSERT_EQ(reply.cookie, popped++);
    }
  }
}

TEST_F(RingTest, Says_when_it_is_full_and_when_empty) {
  Reply reply{};
  EXPECT_EQ(consumer.Pop(&reply), RingResult::kNotNow);
  EXPECT_FALSE(consumer.HasNews());
  for (size_t i = 0; i < kRingSlots; ++i) ASSERT_EQ(producer.Push(reply), RingResult::kDone);
  EXPECT_EQ(producer.Push(reply), RingResult::kNotNow);
  EXPECT_TRUE(consumer.HasNews());
  ASSERT_EQ(consumer.Pop(&reply), RingResult::kDone);
  EXPECT_EQ(producer.Push(reply), RingResult::kDone);
}

TEST_F(RingTest, Notices_an_index_that_cannot_be) {
  Reply reply{};
  tail = kRingSlots + 1;
  EXPECT_EQ(consumer.Pop(&reply), RingResult::kBroken);
  tail = UINT64_MAX;
  EXPECT_EQ(consumer.Pop(&reply), RingResult::kBroken);
  for (size_t i = 0; i < kRingSlots; ++i) ASSERT_EQ(producer.Push(reply), RingResult::kDone);
  head = kRingSlots + 1;
  EXPECT_EQ(producer.Push(reply), RingResult::kBroken);
}

}  // namespace
}  // namespace clustix::cache
