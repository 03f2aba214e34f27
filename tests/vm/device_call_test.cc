// SPDX-License-Identifier: Apache-2.0
// /dev/kccm: calls and their answers.
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>

#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/vm/device_fixture.h"

namespace clustix::vm {
namespace {

class DeviceCall : public DeviceTest {};

TEST_F(DeviceCall, Answers_calls_with_status_and_payload) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  for (const size_t bytes : {size_t{0}, size_t{64}, size_t{KCCM_PAYLOAD_MAX}}) {
    const std::string payload(bytes, 'p');
    const Call call(2, kPort, payload, kLongMs, KCCM_PAYLOAD_MAX);
    const uint64_t number = StartCall(one_, call);
    const Message message = two_.Next();
    ASSERT_TRUE(message.wants_reply);
    ASSERT_EQ(two_.Reply(message.request, message.payload, 42), 0);
    ASSERT_EQ(one_.Result(number), static_cast<int>(bytes));
    EXPECT_EQ(call.arguments.status, 42u);
    EXPECT_EQ(call.arguments.reply_length, bytes);
    EXPECT_TRUE(call.answer.compare(0, bytes, payload) == 0);
    EXPECT_EQ(two_.Reply(message.request, ""), -ENOENT) << "it has been answered";
  }
}

TEST_F(DeviceCall, Cuts_an_answer_for_which_there_is_no_room) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const Call call(2, kPort, "x", kLongMs, 3);
  const uint64_t number = StartCall(one_, call);
  ASSERT_EQ(two_.Reply(two_.Next().request, "abcdef"), 0);
  EXPECT_EQ(one_.Result(number), -EMSGSIZE);
  EXPECT_EQ(call.answer, "abc");
  EXPECT_EQ(call.arguments.reply_length, 6u);
}

TEST_F(DeviceCall, Takes_payloads_from_registered_buffers) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::string buffer(8192, 'r');
  ASSERT_EQ(one_.Register(buffer.data(), buffer.size()), 0);
  const Call call(2, kPort, std::string_view(buffer).substr(100, 5000), kLongMs);
  const uint64_t number = StartCall(one_, call, true);
  const Message message = two_.Next();
  EXPECT_EQ(message.payload, buffer.substr(100, 5000));
  ASSERT_EQ(two_.Reply(message.request, "ok"), 0);
  EXPECT_EQ(one_.Result(number), 2);
  const Call outside(2, kPort, std::string_view(buffer.data() + 8000, 400), kLongMs);
  EXPECT_EQ(one_.Result(StartCall(one_, outside, true)), -EFAULT);
}

TEST_F(DeviceCall, Calls_and_confirmed_sends_end_with_their_time_limit) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const Call call(2, kPort, "never answered", kShortMs);
  EXPECT_EQ(one_.Result(StartCall(one_, call)), -ETIMEDOUT);
  EXPECT_EQ(one_.Confirm(2, kPort, "accepted", kLongMs), 0);
  EXPECT_EQ(one_.Confirm(3, kPort, "nobody there", kShortMs), -ETIMEDOUT);
}

TEST_F(DeviceCall, Gives_up_the_calls_of_a_server_that_closes) {
  auto server = std::make_unique<Device>("n2");
  ASSERT_EQ(server->Bind(kPort), 0);
  const Call seen(2, kPort, "seen", kLongMs), unseen(2, kPort, "not looked at", kLongMs);
  const uint64_t first = StartCall(one_, seen), second = StartCall(one_, unseen);
  server->Next();
  pollfd another = {server->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&another, 1, kLongMs), 1) << "the second call has to be in the ring too";
  server.reset();
  for (const uint64_t number : {first, second}) EXPECT_EQ(one_.Result(number), 0);
  EXPECT_EQ(seen.arguments.status, static_cast<unsigned>(KCCM_STATUS_GIVEN_UP));
}

// Has the links of n1 stand still, as if its machine did, or go on: kmod/fault.h.
void OrderFault(const char* order) {
  struct stat name_space;
  ASSERT_EQ(stat("/run/netns/n1", &name_space), 0) << strerror(errno);
  std::ofstream fault("/sys/kernel/debug/kccm/" + std::to_string(name_space.st_ino) + "/fault");
  fault << order << std::flush;
  ASSERT_TRUE(fault.good()) << strerror(errno);
}

TEST_F(DeviceCall, Refuses_answers_to_a_node_that_does_not_take_them_until_it_does) {
  constexpr size_t kCalls = 40;
  // The queue, its room for answers, and what is kept behind it.
  constexpr size_t kTakenMax = 8 + 4 + 4 + 1;
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::deque<Call> calls;
  std::vector<uint64_t> numbers, requests;
  for (size_t i = 0; i < kCalls; ++i) {
    calls.emplace_back(2, kPort, "large?", KCCM_URING_TIMEOUT_MAX_MS, KCCM_PAYLOAD_MAX);
    numbers.push_back(StartCall(one_, calls.back()));
    requests.push_back(two_.Next().request);
  }
  OrderFault("stall");
  const std::string answer(KCCM_PAYLOAD_MAX, 'a');
  size_t answered = 0;
  int result = 0;
  while (answered < kCalls && (result = two_.Reply(requests[answered], answer)) == 0) ++answered;
  EXPECT_EQ(result, -EAGAIN);
  EXPECT_GT(answered, 4u);
  EXPECT_LE(answered, kTakenMax);
  EXPECT_EQ(two_.Poll(POLLOUT) & POLLOUT, 0);
  EXPECT_EQ(two_.Reply(requests.back(), ""), 0) << "which takes no room";
  OrderFault("none");
  while (answered < kCalls - 1) {
    result = two_.Reply(requests[answered], answer);
    answered += result == 0;
    if (result == 0) continue;
    ASSERT_EQ(result, -EAGAIN);
    pollfd room = {two_.fd(), POLLOUT, 0};
    ASSERT_EQ(poll(&room, 1, kLongMs), 1) << "nobody told that there is room";
  }
  for (size_t i = 0; i < kCalls - 1; ++i) {
    ASSERT_EQ(one_.Result(numbers[i]), KCCM_PAYLOAD_MAX) << i;
  }
  EXPECT_EQ(one_.Result(numbers.back()), 0);
}

}  // namespace
}  // namespace clustix::vm
