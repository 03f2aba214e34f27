// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace clustix::msg {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

kccm_uring_send SendTo(uint16_t node, uint8_t lane, std::string_view payload, uint8_t flags = 0) {
  kccm_uring_send send = {};
  send.payload = reinterpret_cast<uint64_t>(payload.data());
  send.length = static_cast<uint32_t>(payload.size());
  send.epoch = 7;
  send.node = node;
  send.port = 40;
  send.lane = lane;
  send.flags = flags;
  return send;
}

const kccm_uring_message& MessageOf(const kccm_uring_send_many& many, size_t i) {
  return reinterpret_cast<const kccm_uring_message*>(many.messages)[i];
}

std::string_view PayloadOf(const kccm_uring_send_many& many, size_t i) {
  const kccm_uring_message& message = MessageOf(many, i);
  return {reinterpret_cast<const char*>(many.payloads) + message.offset, message.length};
}

TEST(KccmBatch, Describes_each_message_and_copies_its_payload) {
  KccmBatch batch;
  std::string payload = "first";
  batch.Add(SendTo(3, 1, payload, KCCM_URING_ORDERED | KCCM_URING_RESUME | KCCM_URING_MORE), 11);
  payload = "later";
  batch.Add(SendTo(4, 0, ""), 12);
  batch.Add(SendTo(4, 0, payload), 13);
  const kccm_uring_send_many& many = batch.Seal();
  ASSERT_EQ(many.count, 3u);
  EXPECT_EQ(many.flags, KCCM_URING_ORDERED | KCCM_URING_MORE);
  EXPECT_EQ(many.error, 0);
  EXPECT_EQ(PayloadOf(many, 0), "first");
  EXPECT_EQ(PayloadOf(many, 1), "");
  EXPECT_EQ(PayloadOf(many, 2), "later");
  EXPECT_EQ(many.payload_bytes, 10u);
  EXPECT_EQ(MessageOf(many, 0).node, 3u);
  EXPECT_EQ(MessageOf(many, 0).lane, 1u);
  EXPECT_EQ(MessageOf(many, 0).port, 40u);
  EXPECT_EQ(MessageOf(many, 0).epoch, 7u);
  EXPECT_EQ(MessageOf(many, 0).flags, KCCM_URING_RESUME) << "the others are the command's";
  EXPECT_EQ(MessageOf(many, 1).flags, 0u);
  EXPECT_THAT(batch.commands(), ElementsAre(11, 12, 13));
  EXPECT_EQ(batch.LaneOf(0), std::pair(uint16_t{3}, uint8_t{1}));
}

TEST(KccmBatch, Has_room_for_what_one_command_may_carry) {
  KccmBatch batch;
  for (uint32_t i = 0; i < KCCM_URING_MANY_MAX; ++i) {
    ASSERT_TRUE(batch.HasRoomFor(0));
    batch.Add(SendTo(2, 0, ""), i);
  }
  EXPECT_FALSE(batch.HasRoomFor(0));
  batch.Clear();
  EXPECT_THAT(batch.commands(), IsEmpty());
  const std::string half(KCCM_URING_MANY_BYTES_MAX / 2, 'x');
  batch.Add(SendTo(2, 0, half), 0);
  EXPECT_TRUE(batch.HasRoomFor(half.size()));
  EXPECT_FALSE(batch.HasRoomFor(half.size() + 1));
}

}  // namespace
}  // namespace clustix::msg
