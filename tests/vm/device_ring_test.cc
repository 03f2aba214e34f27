// SPDX-License-Identifier: Apache-2.0
// /dev/kccm: what has come, in the ring and by read().
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/vm/device_fixture.h"

namespace clustix::vm {
namespace {

class DeviceRing : public DeviceTest {};

TEST_F(DeviceRing, Lets_no_program_write_to_the_ring) {
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

TEST_F(DeviceRing, Notices_a_false_count_and_stays_of_use) {
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

TEST_F(DeviceRing, Reads_messages_where_the_ring_is_not_mapped) {
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

TEST_F(DeviceRing, Does_not_wait_for_another_reader_where_it_is_not_to_wait) {
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
TEST_F(DeviceRing, Delivers_all_messages_to_one_command_where_the_kernel_can) {
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

}  // namespace
}  // namespace clustix::vm
