// SPDX-License-Identifier: Apache-2.0
// /dev/kccm: one-way messages, one or many by one command.
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/vm/device_fixture.h"

namespace clustix::vm {
namespace {

class DeviceSend : public DeviceTest {};

std::string Pattern(size_t number) {
  // Some empty, most small, a few larger than half of the arena.
  const size_t bytes = number % 50 == 49 ? 700'000 + number : (number * 37) % 900;
  return std::string(bytes, static_cast<char>('a' + number % 26));
}

TEST_F(DeviceSend, Delivers_in_order_through_a_ring_that_is_too_small) {
  ASSERT_EQ(two_.Bind(kPort, 16, KCCM_PAYLOAD_MAX), 0);
  constexpr size_t kMessages = 300;
  std::thread sender([&] {
    for (size_t i = 0; i < kMessages;) {
      const int result = one_.Send(2, kPort, Pattern(i));
      if (result == 0) ++i;
      if (result == 0) continue;
      ASSERT_EQ(result, -EAGAIN);
      pollfd room = {one_.fd(), POLLOUT, 0};
      ASSERT_EQ(poll(&room, 1, kLongMs), 1) << "nobody told that there is room";
    }
  });
  for (size_t i = 0; i < kMessages; ++i) {
    const Message message = two_.Next();
    ASSERT_TRUE(message.payload == Pattern(i)) << "message " << i;
    ASSERT_EQ(message.from, 1u);
    ASSERT_FALSE(message.wants_reply);
  }
  sender.join();
}

// The queue to a node that is away fills up; a small message would still find room.
TEST_F(DeviceSend, Refuses_what_is_ordered_behind_a_refusal_until_it_is_resumed) {
  const std::string large(KCCM_PAYLOAD_MAX, 'l');
  const auto send = [&](size_t bytes, unsigned lane, unsigned flags) {
    kccm_uring_send message = {};
    message.payload = reinterpret_cast<uint64_t>(large.data());
    message.length = static_cast<uint32_t>(bytes);
    message.node = 3;
    message.lane = static_cast<uint8_t>(lane);
    message.flags = static_cast<uint8_t>(flags);
    return one_.Do(KCCM_URING_SEND, &message, sizeof(message));
  };
  EXPECT_EQ(send(1, 1, KCCM_URING_RESUME), -EINVAL) << "which says nothing without ORDERED";
  int result = 0;
  for (int i = 0; i < 100 && result == 0; ++i) result = send(large.size(), 1, KCCM_URING_ORDERED);
  ASSERT_EQ(result, -EAGAIN);
  EXPECT_EQ(send(1, 1, KCCM_URING_ORDERED), -EAGAIN);
  EXPECT_EQ(send(1, 1, 0), 0);
  EXPECT_EQ(send(1, 0, KCCM_URING_ORDERED), 0) << "another lane";
  EXPECT_EQ(send(1, 1, KCCM_URING_ORDERED | KCCM_URING_RESUME), 0);
  EXPECT_EQ(send(1, 1, KCCM_URING_ORDERED), 0);
  EXPECT_EQ(send(large.size(), 1, KCCM_URING_ORDERED), -EAGAIN);
  EXPECT_EQ(send(large.size(), 1, KCCM_URING_ORDERED | KCCM_URING_RESUME), -EAGAIN);
  EXPECT_EQ(send(1, 1, KCCM_URING_ORDERED), -EAGAIN) << "refused again";
}

TEST_F(DeviceSend, Sends_many_messages_by_one_command) {
  ASSERT_EQ(one_.Bind(kPort), 0);
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::string buffer(KCCM_URING_MANY_BYTES_MAX, '\0');
  std::vector<kccm_uring_message> messages;
  for (size_t i = 0; i < KCCM_URING_MANY_MAX; ++i) {
    const size_t bytes = i % 200;
    std::fill_n(buffer.begin() + static_cast<ptrdiff_t>(i * 256), bytes,
                static_cast<char>('a' + i % 26));
    messages.push_back(MessageTo(2, 0, i * 256, bytes));
  }
  kccm_uring_send_many many = {};
  EXPECT_EQ(one_.SendMany(many, messages, buffer), KCCM_URING_MANY_MAX);
  EXPECT_EQ(many.error, 0);
  for (size_t i = 0; i < messages.size(); ++i) {
    ASSERT_EQ(two_.Next().payload, std::string(i % 200, static_cast<char>('a' + i % 26))) << i;
  }
  // All of it in a registered buffer, and the same payload for two, on different lanes.
  std::string registered(8192, 'r');
  ASSERT_EQ(one_.Register(registered.data(), registered.size()), 0);
  messages = {MessageTo(2, 0, 10, 90), MessageTo(2, 1, 10, 90)};
  std::memcpy(registered.data(), messages.data(), messages.size() * sizeof(messages[0]));
  many.messages = reinterpret_cast<uint64_t>(registered.data());
  many.payloads = many.messages + 4096;
  many.payload_bytes = 100;
  many.count = 2;
  EXPECT_EQ(one_.Result(one_.Start(KCCM_URING_SEND_MANY, &many, sizeof(many), true)), 2);
  EXPECT_EQ(two_.Next().payload, std::string(90, 'r'));
  EXPECT_EQ(two_.Next().payload, std::string(90, 'r'));
  many.payload_bytes = 4097;
  EXPECT_EQ(one_.Result(one_.Start(KCCM_URING_SEND_MANY, &many, sizeof(many), true)), -EFAULT);
  EXPECT_EQ(many.error, -EFAULT);
  many.error = 0;
  many.messages += 8192 - 24;
  EXPECT_EQ(one_.Result(one_.Start(KCCM_URING_SEND_MANY, &many, sizeof(many), true)), -EFAULT);
  EXPECT_EQ(many.error, 0) << "nothing was looked at";
}

TEST_F(DeviceSend, Says_which_of_many_messages_it_has_not_sent) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const std::string payloads = "0123456789";
  const kccm_uring_message good = MessageTo(2, 0, 0, 1);
  kccm_uring_message reserved = good;
  reserved.zero2 = 1;
  const struct {
    kccm_uring_message message;
    int error;
  } bad[] = {{MessageTo(9, 0, 0, 1), -ENOTCONN},
             {MessageTo(2, 2, 0, 1), -EINVAL},
             {MessageTo(2, 0, 5, 6), -EFAULT},
             {MessageTo(2, 0, ~0u, 2), -EFAULT},
             {MessageTo(2, 0, 0, 1, KCCM_URING_RESUME), -EINVAL},
             {reserved, -EINVAL}};
  for (const auto& [message, error] : bad) {
    kccm_uring_send_many many = {};
    std::vector<kccm_uring_message> first = {message, good}, second = {good, message, good};
    EXPECT_EQ(one_.SendMany(many, first, payloads), error);
    EXPECT_EQ(many.error, error);
    EXPECT_EQ(one_.SendMany(many, second, payloads), 1);
    EXPECT_EQ(many.error, error);
    EXPECT_EQ(two_.Next().payload, "0");
  }
  ASSERT_EQ(one_.Confirm(2, kPort, "last", kLongMs), 0);
  EXPECT_EQ(two_.Next().payload, "last") << "something more was sent";
  kccm_uring_send_many many = {};
  std::vector<kccm_uring_message> none, too_many(KCCM_URING_MANY_MAX + 1, good);
  EXPECT_EQ(one_.SendMany(many, none, payloads), -EINVAL);
  EXPECT_EQ(one_.SendMany(many, too_many, payloads), -EINVAL);
  std::vector<kccm_uring_message> one = {good};
  EXPECT_EQ(one_.SendMany(many, one, std::string(KCCM_URING_MANY_BYTES_MAX + 1, 'x')), -EINVAL);
  many.flags = KCCM_URING_CONFIRM;
  EXPECT_EQ(one_.SendMany(many, one, payloads), -EINVAL);
}

TEST_F(DeviceSend, Refuses_what_is_ordered_behind_many_messages_that_were_not_sent) {
  const std::string payloads(60'000, 'm');
  kccm_uring_send_many many = {};
  many.flags = KCCM_URING_ORDERED;
  const kccm_uring_message large = MessageTo(3, 1, 0, payloads.size());
  std::vector<kccm_uring_message> full(KCCM_URING_MANY_MAX, large);
  const int sent = one_.SendMany(many, full, payloads);  // to a node that is away
  ASSERT_GT(sent, 0);
  ASSERT_LT(sent, KCCM_URING_MANY_MAX);
  EXPECT_EQ(many.error, -EAGAIN);
  EXPECT_FALSE(one_.Poll(POLLOUT) & POLLOUT);
  // Of these nothing is sent, though lane 0 has room: the first of them is refused.
  std::vector<kccm_uring_message> mixed = {MessageTo(3, 1, 0, 1), MessageTo(3, 0, 0, 1)};
  EXPECT_EQ(one_.SendMany(many, mixed, payloads), -EAGAIN);
  std::vector<kccm_uring_message> behind = {MessageTo(3, 0, 0, 1)};
  EXPECT_EQ(one_.SendMany(many, behind, payloads), -EAGAIN);
  mixed[0].flags = mixed[1].flags = KCCM_URING_RESUME;
  EXPECT_EQ(one_.SendMany(many, mixed, payloads), 2);
  EXPECT_EQ(one_.SendMany(many, behind, payloads), 1);
  // Who is refused for good is not waited for, but those behind are.
  std::vector<kccm_uring_message> unknown = {MessageTo(9, 0, 0, 1), MessageTo(3, 0, 0, 1)};
  EXPECT_EQ(one_.SendMany(many, unknown, payloads), -ENOTCONN);
  EXPECT_EQ(one_.SendMany(many, behind, payloads), -EAGAIN);
  unknown = {MessageTo(9, 0, 0, 1)};
  EXPECT_EQ(one_.SendMany(many, unknown, payloads), -ENOTCONN) << "and not -EAGAIN";
}

TEST_F(DeviceSend, Delivers_what_waits_for_more_that_does_not_come) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const std::string payload = "alone";
  kccm_uring_send send = {};
  send.payload = reinterpret_cast<uint64_t>(payload.data());
  send.length = static_cast<uint32_t>(payload.size());
  send.node = 2;
  send.port = kPort;
  send.flags = KCCM_URING_MORE;
  ASSERT_EQ(one_.Do(KCCM_URING_SEND, &send, sizeof(send)), 0);
  EXPECT_EQ(two_.Next().payload, payload);

  Call call(2, kPort, "and so is its answer", kLongMs);
  call.arguments.request.flags = KCCM_URING_MORE;
  const uint64_t number = StartCall(one_, call);
  kccm_uring_reply reply = {};
  reply.request = two_.Next().request;
  reply.payload = send.payload;
  reply.length = send.length;
  reply.flags = KCCM_URING_MORE;
  ASSERT_EQ(two_.Do(KCCM_URING_REPLY, &reply, sizeof(reply)), 0);
  EXPECT_EQ(one_.Result(number), static_cast<int>(payload.size()));
}

TEST_F(DeviceSend, Tells_what_is_wrong) {
  EXPECT_EQ(one_.Send(9, kPort, "unknown node"), -ENOTCONN);
  EXPECT_EQ(one_.Send(2, kPort, "bad lane", 2), -EINVAL);
  EXPECT_EQ(one_.Do(99), -EOPNOTSUPP);
  EXPECT_EQ(one_.Do(KCCM_URING_PUMP), -ENOENT);
  EXPECT_EQ(one_.Do(KCCM_URING_SEND, reinterpret_cast<void*>(8), 32), -EFAULT);
  const std::vector<char> zeros(8192);
  EXPECT_EQ(one_.Do(KCCM_URING_SEND, zeros.data(), 4097), -E2BIG);
  Call call(2, kPort, "", KCCM_URING_TIMEOUT_MAX_MS + 1);
  EXPECT_EQ(one_.Result(StartCall(one_, call)), -EINVAL);
  call.arguments.request.timeout_ms = kLongMs;
  EXPECT_EQ(one_.Result(StartCall(one_, call)), -ENXIO) << "nobody serves the port";
  call.arguments.request.length = KCCM_PAYLOAD_MAX + 1;
  EXPECT_EQ(one_.Result(StartCall(one_, call)), -EMSGSIZE);
  EXPECT_EQ(two_.Bind(kPort, 3), -EINVAL);
  EXPECT_EQ(two_.Bind(kPort, 16, 4096), -EINVAL);
  ASSERT_EQ(two_.Bind(kPort), 0);
  EXPECT_EQ(two_.Bind(kPort + 1), -EBUSY);
  Device other("n2");
  EXPECT_EQ(other.Bind(kPort), -EADDRINUSE);
}

}  // namespace
}  // namespace clustix::vm
