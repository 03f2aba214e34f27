// SPDX-License-Identifier: Apache-2.0
extern "C" {
#include "kmod/check.h"
}

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <vector>

namespace clustix {
namespace {

constexpr uint32_t kMax = ~uint32_t{0};

kccm_uring_bind Bind(uint32_t port, uint32_t entries, uint32_t arena_bytes) {
  return {.port = port, .entries = entries, .arena_bytes = arena_bytes, .ring_bytes = 0};
}

TEST(Check, Binds_only_what_the_ring_can_be) {
  constexpr uint32_t kLeast = KCCM_PAYLOAD_MAX;
  for (const kccm_uring_bind& bind :
       {Bind(0, 1, kLeast), Bind(65535, KCCM_URING_ENTRIES_MAX, KCCM_URING_ARENA_MAX)}) {
    EXPECT_EQ(kccm_check_bind(&bind), 0);
  }
  for (const kccm_uring_bind& bind :
       {Bind(65536, 1, kLeast), Bind(kMax, 1, kLeast), Bind(1, 0, kLeast), Bind(1, 3, kLeast),
        Bind(1, 2 * KCCM_URING_ENTRIES_MAX, kLeast), Bind(1, 1u << 31, kLeast),
        Bind(1, kMax, kLeast), Bind(1, 16, 0), Bind(1, 16, kLeast - 4096), Bind(1, 16, kLeast + 1),
        Bind(1, 16, KCCM_URING_ARENA_MAX + 4096), Bind(1, 16, kMax), Bind(1, 16, kMax - 4095)}) {
    EXPECT_EQ(kccm_check_bind(&bind), -EINVAL)
        << bind.port << " " << bind.entries << " " << bind.arena_bytes;
  }
  kccm_uring_bind bind = Bind(1, 16, kLeast);
  bind.ring_bytes = 1;
  EXPECT_EQ(kccm_check_bind(&bind), -EINVAL) << "which is not the program's to say";
}

kccm_uring_send Send(unsigned flags, uint32_t timeout_ms) {
  kccm_uring_send send = {};
  send.flags = static_cast<uint8_t>(flags);
  send.timeout_ms = timeout_ms;
  return send;
}

TEST(Check, Sends_with_flags_that_go_together_and_within_time) {
  constexpr unsigned kOrdered = KCCM_URING_ORDERED, kConfirm = KCCM_URING_CONFIRM;
  for (const kccm_uring_send& send :
       {Send(0, 0), Send(0, kMax), Send(KCCM_URING_MORE, 0), Send(kOrdered | KCCM_URING_RESUME, 0),
        Send(kConfirm, 1), Send(kConfirm | kOrdered, KCCM_URING_TIMEOUT_MAX_MS)}) {
    EXPECT_EQ(kccm_check_send(&send), 0) << unsigned{send.flags} << " " << send.timeout_ms;
  }
  for (const kccm_uring_send& send :
       {Send(KCCM_URING_RESUME, 0), Send(16, 0), Send(255, 1), Send(kConfirm, 0),
        Send(kConfirm, KCCM_URING_TIMEOUT_MAX_MS + 1), Send(kConfirm, kMax)}) {
    EXPECT_EQ(kccm_check_send(&send), -EINVAL) << unsigned{send.flags} << " " << send.timeout_ms;
  }
  kccm_uring_send send = Send(0, 0);
  send.zero = 1;
  EXPECT_EQ(kccm_check_send(&send), -EINVAL);
  send = Send(0, 0);
  send.zero2 = 1;
  EXPECT_EQ(kccm_check_send(&send), -EINVAL);
}

TEST(Check, Calls_have_a_time_limit_and_room_for_one_answer_at_most) {
  const auto check = [](unsigned flags, uint32_t timeout_ms, uint32_t room, uint32_t zero = 0) {
    kccm_uring_call call = {};
    call.request = Send(flags, timeout_ms);
    call.reply_room = room;
    call.zero = zero;
    return kccm_check_call(&call);
  };
  EXPECT_EQ(check(0, 1, 0), 0);
  EXPECT_EQ(check(KCCM_URING_ORDERED, KCCM_URING_TIMEOUT_MAX_MS, KCCM_PAYLOAD_MAX), 0);
  EXPECT_EQ(check(0, 0, 0), -EINVAL);
  EXPECT_EQ(check(0, KCCM_URING_TIMEOUT_MAX_MS + 1, 0), -EINVAL);
  EXPECT_EQ(check(0, 1, KCCM_PAYLOAD_MAX + 1), -EINVAL);
  EXPECT_EQ(check(0, 1, kMax), -EINVAL);
  EXPECT_EQ(check(KCCM_URING_CONFIRM, 1, 0), -EINVAL) << "its answer confirms it";
  EXPECT_EQ(check(KCCM_URING_RESUME, 1, 0), -EINVAL);
  EXPECT_EQ(check(0, 1, 0, 1), -EINVAL);
}

TEST(Check, Answers_have_a_status_that_services_may_give) {
  const auto check = [](uint32_t status, uint32_t flags, uint32_t zero) {
    kccm_uring_reply reply = {};
    reply.status = status;
    reply.flags = flags;
    reply.zero = zero;
    return kccm_check_reply(&reply);
  };
  EXPECT_EQ(check(0, 0, 0), 0);
  EXPECT_EQ(check(KCCM_STATUS_NO_SUCH_PORT - 1, KCCM_URING_MORE, 0), 0);
  EXPECT_EQ(check(KCCM_STATUS_NO_SUCH_PORT, 0, 0), -EINVAL);
  EXPECT_EQ(check(0x10000, 0, 0), -EINVAL) << "which 16 bits would make 0 of";
  EXPECT_EQ(check(kMax, 0, 0), -EINVAL);
  EXPECT_EQ(check(0, KCCM_URING_CONFIRM, 0), -EINVAL);
  EXPECT_EQ(check(0, 0, 1), -EINVAL);
}

TEST(Check, Many_messages_are_at_least_one_and_no_more_than_there_is_room_for) {
  const auto check = [](uint32_t count, uint32_t payload_bytes, uint32_t flags) {
    kccm_uring_send_many many = {};
    many.count = count;
    many.payload_bytes = payload_bytes;
    many.flags = flags;
    return kccm_check_many(&many);
  };
  EXPECT_EQ(check(1, 0, 0), 0);
  EXPECT_EQ(
      check(KCCM_URING_MANY_MAX, KCCM_URING_MANY_BYTES_MAX, KCCM_URING_ORDERED | KCCM_URING_MORE),
      0);
  EXPECT_EQ(check(0, 0, 0), -EINVAL);
  EXPECT_EQ(check(KCCM_URING_MANY_MAX + 1, 0, 0), -EINVAL);
  EXPECT_EQ(check(kMax, 0, 0), -EINVAL);
  EXPECT_EQ(check(1, KCCM_URING_MANY_BYTES_MAX + 1, 0), -EINVAL);
  EXPECT_EQ(check(1, kMax, 0), -EINVAL);
  EXPECT_EQ(check(1, 0, KCCM_URING_CONFIRM), -EINVAL);
  EXPECT_EQ(check(1, 0, KCCM_URING_RESUME), -EINVAL);
}

// Whatever is found right is read: nothing outside of the payloads may be.
TEST(Check, A_message_lies_within_the_payloads_whatever_it_says) {
  std::mt19937 random(1);
  const std::vector<uint32_t> edges = {0, 1, 99, 100, 101, 1u << 31, kMax - 100, kMax - 1, kMax};
  for (const uint32_t payload_bytes : {0u, 100u, uint32_t{KCCM_URING_MANY_BYTES_MAX}}) {
    kccm_uring_send_many many = {};
    many.payload_bytes = payload_bytes;
    for (int round = 0; round < 20'000; ++round) {
      kccm_uring_message message = {};
      const auto pick = [&] {
        return random() % 4 ? edges[random() % edges.size()] : uint32_t(random()) % 200;
      };
      message.offset = pick();
      message.length = pick();
      const uint64_t end = uint64_t{message.offset} + message.length;
      ASSERT_EQ(kccm_check_message(&many, &message), end <= payload_bytes ? 0 : -EFAULT)
          << message.offset << "+" << message.length << " of " << payload_bytes;
    }
  }
}

TEST(Check, Only_ordered_messages_resume) {
  kccm_uring_send_many many = {};
  kccm_uring_message message = {};
  message.flags = KCCM_URING_RESUME;
  EXPECT_EQ(kccm_check_message(&many, &message), -EINVAL);
  many.flags = KCCM_URING_ORDERED;
  EXPECT_EQ(kccm_check_message(&many, &message), 0);
  message.flags = KCCM_URING_ORDERED;
  EXPECT_EQ(kccm_check_message(&many, &message), -EINVAL);
  message.flags = 0;
  message.zero = 1;
  EXPECT_EQ(kccm_check_message(&many, &message), -EINVAL);
  message.zero = 0;
  message.zero2 = 1;
  EXPECT_EQ(kccm_check_message(&many, &message), -EINVAL);
}

}  // namespace
}  // namespace clustix
