// SPDX-License-Identifier: Apache-2.0
//
// /dev/kccm, as a program sees it. Runs in a virtual machine (chardev_test.py) in which the network
// namespaces n1 and n2 are nodes 1 and 2, which know each other, and a node 3, which does not
// exist.
#include "tests/vm/device.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

namespace clustix::vm {
namespace {

constexpr unsigned kPort = 50;
constexpr unsigned kLongMs = 30'000;  // only a failing test waits that long
constexpr unsigned kShortMs = 1'500;  // tests wait that long

class DeviceTest : public testing::Test {
 protected:
  Device one_{"n1"}, two_{"n2"};
};

// A page that is not there before Come(): who touches it waits until then.
class LatePage {
 public:
  LatePage() {
    uffdio_api api = {UFFD_API, 0, 0};
    EXPECT_EQ(ioctl(fd_, UFFDIO_API, &api), 0) << strerror(errno);
    uffdio_register all = {Range(), UFFDIO_REGISTER_MODE_MISSING, 0};
    EXPECT_EQ(ioctl(fd_, UFFDIO_REGISTER, &all), 0) << strerror(errno);
  }
  ~LatePage() {
    close(fd_);
    munmap(page_, kBytes);
  }
  LatePage(const LatePage&) = delete;
  LatePage& operator=(const LatePage&) = delete;

  // Whether somebody has touched it, and waits.
  bool IsAwaited() const {
    pollfd touched = {fd_, POLLIN, 0};
    return poll(&touched, 1, kLongMs) == 1;
  }
  void Come() const {
    uffdio_zeropage zero = {Range(), 0, 0};
    EXPECT_EQ(ioctl(fd_, UFFDIO_ZEROPAGE, &zero), 0) << strerror(errno);
  }
  void* get() const { return page_; }

  static constexpr size_t kBytes = 4096;

 private:
  uffdio_range Range() const { return {reinterpret_cast<uint64_t>(page_), kBytes}; }

  void* page_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd_ = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
};

uint64_t StartCall(Device& device, const Call& call, bool fixed = false) {
  return device.Start(KCCM_URING_CALL, &call.arguments, sizeof(call.arguments), fixed);
}

std::string Pattern(size_t number) {
  // Some empty, most small, a few larger than half of the arena.
  const size_t bytes = number % 50 == 49 ? 700'000 + number : (number * 37) % 900;
  return std::string(bytes, static_cast<char>('a' + number % 26));
}

TEST_F(DeviceTest, Delivers_in_order_through_a_ring_that_is_too_small) {
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
TEST_F(DeviceTest, Refuses_what_is_ordered_behind_a_refusal_until_it_is_resumed) {
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

kccm_uring_message MessageTo(unsigned node, unsigned lane, size_t offset, size_t length,
                             unsigned flags = 0) {
  kccm_uring_message message = {};
  message.offset = static_cast<uint32_t>(offset);
  message.length = static_cast<uint32_t>(length);
  message.node = static_cast<uint16_t>(node);
  message.port = kPort;
  message.lane = static_cast<uint8_t>(lane);
  message.flags = static_cast<uint8_t>(flags);
  return message;
}

TEST_F(DeviceTest, Sends_many_messages_by_one_command) {
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

TEST_F(DeviceTest, Says_which_of_many_messages_it_has_not_sent) {
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

TEST_F(DeviceTest, Refuses_what_is_ordered_behind_many_messages_that_were_not_sent) {
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

TEST_F(DeviceTest, Answers_calls_with_status_and_payload) {
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

TEST_F(DeviceTest, Cuts_an_answer_for_which_there_is_no_room) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const Call call(2, kPort, "x", kLongMs, 3);
  const uint64_t number = StartCall(one_, call);
  ASSERT_EQ(two_.Reply(two_.Next().request, "abcdef"), 0);
  EXPECT_EQ(one_.Result(number), -EMSGSIZE);
  EXPECT_EQ(call.answer, "abc");
  EXPECT_EQ(call.arguments.reply_length, 6u);
}

TEST_F(DeviceTest, Takes_payloads_from_registered_buffers) {
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

TEST_F(DeviceTest, Calls_and_confirmed_sends_end_with_their_time_limit) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const Call call(2, kPort, "never answered", kShortMs);
  EXPECT_EQ(one_.Result(StartCall(one_, call)), -ETIMEDOUT);
  EXPECT_EQ(one_.Confirm(2, kPort, "accepted", kLongMs), 0);
  EXPECT_EQ(one_.Confirm(3, kPort, "nobody there", kShortMs), -ETIMEDOUT);
}

TEST_F(DeviceTest, Delivers_what_waits_for_more_that_does_not_come) {
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

TEST_F(DeviceTest, Tells_what_is_wrong) {
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

TEST_F(DeviceTest, Lets_no_program_write_to_the_ring) {
  EXPECT_EQ(two_.Map(KCCM_MMAP_RING, 4096, PROT_READ, MAP_SHARED), MAP_FAILED) << "not bound";
  ASSERT_EQ(two_.Bind(kPort), 0);
  const size_t bytes = two_.ring_bytes();
  EXPECT_EQ(two_.Map(KCCM_MMAP_RING, bytes, PROT_READ | PROT_WRITE, MAP_SHARED), MAP_FAILED);
  EXPECT_EQ(two_.Map(KCCM_MMAP_RING, bytes, PROT_READ, MAP_PRIVATE), MAP_FAILED);
  EXPECT_EQ(two_.Map(KCCM_MMAP_RING, bytes + 4096, PROT_READ, MAP_SHARED), MAP_FAILED);
  void* ring = two_.Map(KCCM_MMAP_RING, bytes, PROT_READ, MAP_SHARED);
  ASSERT_NE(ring, MAP_FAILED);
  EXPECT_NE(mprotect(ring, bytes, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(errno, EACCES);
  munmap(ring, bytes);
}

TEST_F(DeviceTest, Notices_a_false_count_and_stays_of_use) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  ASSERT_EQ(one_.Confirm(2, kPort, "x", kLongMs), 0);
  two_.Next();
  ASSERT_EQ(two_.Do(KCCM_URING_PUMP), 0);
  for (const uint32_t count : {0u, 2u, 0x80000000u, ~0u}) {
    two_.SetConsumed(count);
    EXPECT_EQ(two_.Do(KCCM_URING_PUMP), -EPROTO);
  }
  EXPECT_TRUE(two_.Poll(POLLIN) & POLLERR);
  ASSERT_EQ(one_.Bind(kPort), 0);
  EXPECT_EQ(two_.Confirm(1, kPort, "sending goes on", kLongMs), 0);
  EXPECT_EQ(one_.Next().payload, "sending goes on");
}

TEST_F(DeviceTest, Reads_messages_where_the_ring_is_not_mapped) {
  ASSERT_TRUE(two_.Do(KCCM_URING_FEATURES) & KCCM_URING_F_READ);
  Message message;
  EXPECT_EQ(two_.Read(message), -ENXIO);
  ASSERT_EQ(two_.Bind(kPort, 16, KCCM_PAYLOAD_MAX), 0);
  std::thread sender([&] {  // more than there is room for, and later than the first read
    EXPECT_EQ(one_.Confirm(2, kPort, "first", kLongMs), 0);
    for (size_t i = 0; i < 100;) {
      const int result = one_.Send(2, kPort, std::string(i, 'x'));
      ASSERT_TRUE(result == 0 || result == -EAGAIN) << result;
      i += result == 0;
    }
  });
  constexpr int kHead = sizeof(kccm_uring_descriptor);
  ASSERT_EQ(two_.Read(message), kHead + 5);
  EXPECT_EQ(message.payload, "first");
  EXPECT_EQ(message.from, 1u);
  for (size_t i = 0; i < 100; ++i) {
    if (i == 50) {
      EXPECT_EQ(two_.Read(message, kHead + 49), -EMSGSIZE);
    }
    ASSERT_EQ(two_.Read(message), kHead + static_cast<int>(i));
    ASSERT_EQ(message.payload, std::string(i, 'x'));
  }
  sender.join();
  ASSERT_EQ(fcntl(two_.fd(), F_SETFL, O_NONBLOCK), 0);
  EXPECT_EQ(two_.Read(message), -EAGAIN);
  const Call call(2, kPort, "ask", kLongMs);
  const uint64_t pending = StartCall(one_, call);
  pollfd something = {two_.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&something, 1, kLongMs), 1);
  ASSERT_EQ(two_.Read(message), kHead + 3);
  EXPECT_TRUE(message.wants_reply);
  EXPECT_EQ(two_.Reply(message.request, "told"), 0);
  EXPECT_EQ(one_.Result(pending), 4);
  two_.SetConsumed(7);
  EXPECT_EQ(two_.Read(message), -EPROTO);
}

TEST_F(DeviceTest, Does_not_wait_for_another_reader_where_it_is_not_to_wait) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  ASSERT_EQ(one_.Confirm(2, kPort, "first", kLongMs), 0);
  const LatePage late;
  std::thread slow([&] {
    EXPECT_GT(read(two_.fd(), late.get(), late.kBytes), 0) << strerror(errno);
    EXPECT_EQ(MessageIn(static_cast<const char*>(late.get())).payload, "first");
  });
  EXPECT_TRUE(late.IsAwaited());
  EXPECT_EQ(one_.Confirm(2, kPort, "second", kLongMs), 0);
  EXPECT_EQ(two_.Poll(POLLIN) & POLLIN, 0);
  std::vector<char> buffer(4096);
  const iovec room = {buffer.data(), buffer.size()};
  EXPECT_EQ(preadv2(two_.fd(), &room, 1, -1, RWF_NOWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
  const uint64_t pending = two_.StartRead(buffer.data(), buffer.size());
  late.Come();
  slow.join();
  EXPECT_GT(two_.Result(pending), 0) << "nobody told that the other one has read";
  EXPECT_EQ(MessageIn(buffer.data()).payload, "second");
}

// Beside a thread that reads from the same file, and gets some of them.
TEST_F(DeviceTest, Delivers_all_messages_to_one_command_where_the_kernel_can) {
  constexpr size_t kMessages = 200, kOthers = 50;
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::thread sender([&] {
    for (size_t i = 0; i < kMessages; ++i) {
      EXPECT_EQ(one_.Confirm(2, kPort, std::string(i, 'x'), kLongMs), 0);
    }
  });
  std::vector<size_t> others(kOthers);
  std::thread reader([&] {
    Message message;
    for (size_t& bytes : others) {
      EXPECT_GT(two_.Read(message), 0);
      bytes = message.payload.size();
    }
  });
  int error = 0;
  const std::vector<Message> messages = two_.ReadMany(kMessages - kOthers, error);
  sender.join();
  reader.join();
  EXPECT_TRUE(std::ranges::is_sorted(others));
  if (!(two_.Do(KCCM_URING_FEATURES) & KCCM_URING_F_CANCEL)) {
    EXPECT_EQ(error, -EINVAL) << "Linux has READ_MULTISHOT since 6.7, as it has cancellation";
    return;
  }
  ASSERT_EQ(error, 0);
  std::vector<size_t> sizes;
  for (const Message& message : messages) sizes.push_back(message.payload.size());
  EXPECT_TRUE(std::ranges::is_sorted(sizes));
  sizes.insert(sizes.end(), others.begin(), others.end());
  std::ranges::sort(sizes);
  for (size_t i = 0; i < kMessages; ++i) EXPECT_EQ(sizes[i], i) << "each message to one of them";
}

TEST_F(DeviceTest, Gives_up_the_calls_of_a_server_that_closes) {
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

TEST_F(DeviceTest, Cancels_the_commands_of_who_closes_and_nobody_elses) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const Call call(2, kPort, "x", kLongMs);
  const uint64_t number = StartCall(one_, call);
  const Message message = two_.Next();
  const pid_t child = fork();
  if (child == 0) {
    close(one_.fd());
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_EQ(two_.Reply(message.request, "still wanted"), 0);
  EXPECT_EQ(one_.Result(number), 12);
  const uint64_t cancelled = StartCall(one_, call);
  two_.Next();
  one_.CloseFd();
  EXPECT_EQ(one_.Result(cancelled), -ECANCELED);
}

TEST_F(DeviceTest, Cancels_commands_at_the_moment_of_their_submission) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::atomic<bool> over = false;
  std::thread closer([&] {
    while (!over) close(dup(one_.fd()));
  });
  const Call call(2, kPort, "x", kLongMs);
  kccm_uring_send confirmed = call.arguments.request;
  confirmed.flags = KCCM_URING_CONFIRM;
  for (int round = 0; round < 250; ++round) {
    std::vector<uint64_t> numbers;
    for (int i = 0; i < 4; ++i) {
      numbers.push_back(one_.Start(KCCM_URING_CALL, &call.arguments, sizeof(call.arguments), false,
                                   /*async=*/true));
      numbers.push_back(
          one_.Start(KCCM_URING_SEND, &confirmed, sizeof(confirmed), false, /*async=*/true));
    }
    for (const uint64_t number : numbers) {
      const int result = one_.Result(number);
      ASSERT_TRUE(result == 0 || result == -ECANCELED || result == -EAGAIN) << result;
    }
  }
  over = true;
  closer.join();
}

// In a child process: a call that nobody answers, and then `end`.
int WaitStatusOf(Device& server, unsigned timeout_ms, void (*end)()) {
  const pid_t child = fork();
  if (child == 0) {
    Device device("n1");
    const Call call(2, kPort, "x", timeout_ms);
    StartCall(device, call);
    end();
    _exit(1);
  }
  server.Next();
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST_F(DeviceTest, Lets_processes_end_while_they_call) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  // Where io_uring cannot cancel a command, a process waits for its time limit.
  const bool cancels = one_.Do(KCCM_URING_FEATURES) & KCCM_URING_F_CANCEL;
  const unsigned limit_ms = cancels ? KCCM_URING_TIMEOUT_MAX_MS : kShortMs;
  EXPECT_EQ(WTERMSIG(WaitStatusOf(two_, limit_ms, [] { raise(SIGKILL); })), SIGKILL);
  EXPECT_EQ(WaitStatusOf(two_, limit_ms, [] { execl("/bin/true", "true", nullptr); }), 0);
  EXPECT_EQ(WaitStatusOf(two_, limit_ms, [] { _exit(0); }), 0);
}

// Whether the process ends up in a wait that only its death ends.
bool Sleeps(pid_t process) {
  std::string state;
  do {
    std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
    stat >> state >> state >> state;
  } while (state == "R" || state == "S");
  return state == "D";
}

TEST_F(DeviceTest, Lets_a_process_end_while_another_ones_messages_are_read) {
  const LatePage late;
  std::thread slow([&] {
    std::vector<kccm_uring_message> messages = {MessageTo(2, 0, 0, 10)};
    kccm_uring_send_many many = {};
    EXPECT_EQ(one_.SendMany(many, messages, {static_cast<const char*>(late.get()), late.kBytes}),
              1);
  });
  EXPECT_TRUE(late.IsAwaited());
  const pid_t child = fork();
  if (child == 0) {
    Device same(one_.fd());
    std::vector<kccm_uring_message> messages = {MessageTo(2, 0, 0, 1)};
    kccm_uring_send_many many = {};
    same.SendMany(many, messages, "x");
    _exit(1);
  }
  EXPECT_TRUE(Sleeps(child));
  kill(child, SIGKILL);
  const int process = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  pollfd end = {process, POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, kLongMs), 1) << "it does not end";
  late.Come();
  slow.join();
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  close(process);
}

// Arguments of a command: nothing, or a SEND, and with more words a CALL, that may just be right.
void Scramble(std::mt19937& random, std::vector<uint64_t>& words) {
  for (uint64_t& word : words) {
    word = random() % 3 ? random() % 64 : random() | uint64_t{random()} << 32;
  }
  if (random() % 8 == 0) return;
  const uint64_t node = 1 + random() % 4, lane = random() % 3, flags = random() % 2;
  words[0] = reinterpret_cast<uint64_t>(words.data());
  words[1] = random() % 128;
  words[2] = node | uint64_t{kPort} << 16 | lane << 32 | flags << 40;
  // The test waits for each of them.
  words[3] = 1 + random() % 3;
  words[4] = random() % 4 ? words[0] : 0;
  words[5] = random() % 128;
  words[6] = 0;
}

// Arguments of a SEND_MANY that may just be right, with its messages and their payloads behind.
void ScrambleMany(std::mt19937& random, std::vector<uint64_t>& words) {
  Scramble(random, words);
  const uint64_t from = reinterpret_cast<uint64_t>(words.data());
  words[0] = from + 32;
  words[1] = random() % 8 ? from : words[1];
  words[2] = random() % 192 | (random() % 4) << 32;
  words[3] = random() % 2 * KCCM_URING_ORDERED;
  for (size_t at = 4; at + 3 <= words.size(); at += 3) {
    const uint64_t node = 1 + random() % 3, lane = random() % 2, flags = random() % 2 * 4;
    words[at] = random() % 64 | (random() % 128) << 32;
    words[at + 1] = node << 32 | uint64_t{kPort} << 48;
    words[at + 2] = lane | flags << 8;
  }
}

TEST_F(DeviceTest, Survives_random_commands) {
  static unsigned seed = 4711;  // others where the tests are repeated
  std::mt19937 random(seed++);
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::vector<uint64_t> words(16);
  for (int round = 0; round < 800; ++round) {
    const unsigned op = random() % 8;
    op == KCCM_URING_SEND_MANY ? ScrambleMany(random, words) : Scramble(random, words);
    if (random() % 4 == 0) two_.SetConsumed(random());
    Device& device = random() % 2 ? one_ : two_;
    // Longer than all that is known, too.
    const size_t bytes = random() % 2 ? op == KCCM_URING_SEND_MANY ? 32 : 56 : random() % 129;
    device.Result(device.Start(op, words.data(), bytes, random() % 4 == 0));
  }
}

}  // namespace
}  // namespace clustix::vm
