// SPDX-License-Identifier: Apache-2.0
#include "tests/vm/device.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace clustix::vm {
namespace {

constexpr size_t kPage = 4096;

kccm_uring_send MakeSend(unsigned node, unsigned port, std::string_view payload, unsigned lane) {
  kccm_uring_send send = {};
  send.payload = reinterpret_cast<uint64_t>(payload.data());
  send.length = static_cast<uint32_t>(payload.size());
  send.node = static_cast<uint16_t>(node);
  send.port = static_cast<uint16_t>(port);
  send.lane = static_cast<uint8_t>(lane);
  return send;
}

}  // namespace

Message MessageIn(const char* read) {
  kccm_uring_descriptor at;
  std::memcpy(&at, read, sizeof(at));
  return {at.request, at.from, at.lane, (at.flags & KCCM_MESSAGE_WANTS_REPLY) != 0,
          std::string(read + at.offset, at.length)};
}

Device::Device(const std::string& name_space) {
  const int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = open(("/run/netns/" + name_space).c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(setns(there, CLONE_NEWNET), 0) << strerror(errno);
  fd_ = open("/dev/kccm", O_RDWR | O_CLOEXEC);
  EXPECT_GE(fd_, 0) << strerror(errno);
  EXPECT_EQ(setns(before, CLONE_NEWNET), 0);
  close(there);
  close(before);
  EXPECT_EQ(io_uring_queue_init(256, &uring_, 0), 0);
}

Device::Device(int fd) : fd_(dup(fd)) {
  EXPECT_GE(fd_, 0) << strerror(errno);
  EXPECT_EQ(io_uring_queue_init(256, &uring_, 0), 0);
}

Device::~Device() {
  if (memory_) munmap(const_cast<char*>(memory_), ring_bytes_);
  if (shared_consumed_) munmap(shared_consumed_, kPage);
  io_uring_queue_exit(&uring_);
  CloseFd();
}

void Device::CloseFd() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

uint64_t Device::Start(unsigned op, const void* arguments, size_t bytes, bool fixed_buffer,
                       bool async) {
  kccm_uring_cmd where = {};
  where.args = reinterpret_cast<uint64_t>(arguments);
  where.args_bytes = static_cast<uint32_t>(bytes);
  io_uring_sqe* entry = io_uring_get_sqe(&uring_);
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, fd_, nullptr, 0, 0);
  entry->cmd_op = op;
  entry->user_data = next_number_;
  if (async) entry->flags |= IOSQE_ASYNC;
  if (fixed_buffer) entry->uring_cmd_flags = IORING_URING_CMD_FIXED;
  std::memcpy(entry->cmd, &where, sizeof(where));
  EXPECT_EQ(io_uring_submit(&uring_), 1);
  return next_number_++;
}

int Device::Result(uint64_t number) {
  while (!results_.contains(number)) {
    io_uring_cqe* end;
    const int error = io_uring_wait_cqe(&uring_, &end);
    if (error == -EINTR) continue;
    if (error < 0) return error;
    results_[end->user_data] = end->res;
    io_uring_cqe_seen(&uring_, end);
  }
  return results_.extract(number).mapped();
}

int Device::Do(unsigned op, const void* arguments, size_t bytes) {
  return Result(Start(op, arguments, bytes));
}

int Device::Send(unsigned node, unsigned port, std::string_view payload, unsigned lane) {
  const kccm_uring_send send = MakeSend(node, port, payload, lane);
  return Do(KCCM_URING_SEND, &send, sizeof(send));
}

int Device::SendMany(kccm_uring_send_many& many, std::vector<kccm_uring_message>& messages,
                     std::string_view payloads, bool fixed_buffer) {
  many.messages = reinterpret_cast<uint64_t>(messages.data());
  many.payloads = reinterpret_cast<uint64_t>(payloads.data());
  many.payload_bytes = static_cast<uint32_t>(payloads.size());
  many.count = static_cast<uint32_t>(messages.size());
  many.error = 0;
  return Result(Start(KCCM_URING_SEND_MANY, &many, sizeof(many), fixed_buffer));
}

int Device::Confirm(unsigned node, unsigned port, std::string_view payload, unsigned timeout_ms) {
  kccm_uring_send send = MakeSend(node, port, payload, 0);
  send.flags = KCCM_URING_CONFIRM;
  send.timeout_ms = timeout_ms;
  return Do(KCCM_URING_SEND, &send, sizeof(send));
}

int Device::Reply(uint64_t request, std::string_view payload, unsigned status) {
  kccm_uring_reply reply = {};
  reply.request = request;
  reply.payload = reinterpret_cast<uint64_t>(payload.data());
  reply.length = static_cast<uint32_t>(payload.size());
  reply.status = status;
  return Do(KCCM_URING_REPLY, &reply, sizeof(reply));
}

void* Device::Map(uint64_t offset, size_t bytes, int protection, int flags) const {
  return mmap(nullptr, bytes, protection, flags, fd_, static_cast<off_t>(offset));
}

int Device::Bind(unsigned port, unsigned entries, unsigned arena_bytes) {
  kccm_uring_bind bind = {};
  bind.port = port;
  bind.entries = entries;
  bind.arena_bytes = arena_bytes;
  const int error = Do(KCCM_URING_BIND, &bind, sizeof(bind));
  if (error != 0) return error;
  ring_bytes_ = bind.ring_bytes;
  memory_ = static_cast<const char*>(Map(KCCM_MMAP_RING, ring_bytes_, PROT_READ, MAP_SHARED));
  shared_consumed_ =
      static_cast<uint32_t*>(Map(KCCM_MMAP_CONSUMED, kPage, PROT_READ | PROT_WRITE, MAP_SHARED));
  return memory_ == MAP_FAILED || shared_consumed_ == MAP_FAILED ? -errno : 0;
}

void Device::SetConsumed(uint32_t count) {
  __atomic_store_n(shared_consumed_, count, __ATOMIC_SEQ_CST);
}

Message Device::Next() {
  const auto* ring = reinterpret_cast<const kccm_uring_ring*>(memory_);
  while (__atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE) == consumed_) {
    pollfd entry = {fd_, POLLIN, 0};
    EXPECT_EQ(poll(&entry, 1, -1), 1);
  }
  const auto* descriptors =
      reinterpret_cast<const kccm_uring_descriptor*>(memory_ + ring->descriptors_offset);
  const kccm_uring_descriptor& at = descriptors[consumed_ % ring->entries];
  Message message{at.request, at.from, at.lane, (at.flags & KCCM_MESSAGE_WANTS_REPLY) != 0,
                  std::string(memory_ + ring->arena_offset + at.offset, at.length)};
  SetConsumed(++consumed_);
  if (__atomic_load_n(&ring->flags, __ATOMIC_SEQ_CST) & KCCM_RING_STALLED) {
    EXPECT_EQ(Do(KCCM_URING_PUMP), 0);
  }
  return message;
}

int Device::Read(Message& message, size_t room) const {
  std::vector<char> buffer(room);
  const ssize_t bytes = read(fd_, buffer.data(), room);
  if (bytes < 0) return -errno;
  message = MessageIn(buffer.data());
  return static_cast<int>(bytes);
}

uint64_t Device::StartRead(void* to, size_t room) {
  io_uring_sqe* entry = io_uring_get_sqe(&uring_);
  io_uring_prep_read(entry, fd_, to, static_cast<unsigned>(room), 0);
  entry->user_data = next_number_;
  EXPECT_EQ(io_uring_submit(&uring_), 1);
  return next_number_++;
}

std::vector<Message> Device::ReadMany(size_t count, int& error) {
  constexpr unsigned kBuffers = 8;
  constexpr size_t kBytes = 4096;
  constexpr uint8_t kReadMultishot = 49;  // newer than liburing's header
  constexpr uint64_t kReading = ~uint64_t{0};
  static char buffers[kBuffers][kBytes];
  const auto provide = [&](char* buffer, int number, unsigned id) {
    io_uring_sqe* entry = io_uring_get_sqe(&uring_);
    io_uring_prep_provide_buffers(entry, buffer, kBytes, number, 0, static_cast<int>(id));
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  };
  provide(buffers[0], kBuffers, 0);
  std::vector<Message> messages;
  bool armed = false;
  error = 0;
  while (messages.size() < count) {
    if (!armed) {
      io_uring_sqe* entry = io_uring_get_sqe(&uring_);
      io_uring_prep_rw(kReadMultishot, entry, fd_, nullptr, 0, 0);
      entry->flags |= IOSQE_BUFFER_SELECT;
      entry->user_data = kReading;
    }
    io_uring_cqe* end;
    EXPECT_GE(io_uring_submit_and_wait(&uring_, 1), 0);
    if (io_uring_peek_cqe(&uring_, &end) != 0) continue;
    const io_uring_cqe copy = *end;
    io_uring_cqe_seen(&uring_, end);
    armed = copy.flags & IORING_CQE_F_MORE;
    if (copy.res == -ENOBUFS) continue;
    if (copy.res < 0) {
      error = copy.res;
      break;
    }
    const unsigned id = copy.flags >> IORING_CQE_BUFFER_SHIFT;
    messages.push_back(MessageIn(buffers[id]));
    provide(buffers[id], 1, id);
  }
  if (armed) {  // it would keep the file, and with it the port
    io_uring_sqe* entry = io_uring_get_sqe(&uring_);
    io_uring_prep_cancel64(entry, kReading, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    EXPECT_GE(io_uring_submit(&uring_), 1);
    EXPECT_EQ(Result(kReading), -ECANCELED);
  }
  return messages;
}

short Device::Poll(short events) const {
  pollfd entry = {fd_, events, 0};
  return poll(&entry, 1, 0) < 0 ? static_cast<short>(POLLNVAL) : entry.revents;
}

int Device::Register(void* memory, size_t bytes) {
  const iovec buffer = {memory, bytes};
  return io_uring_register_buffers(&uring_, &buffer, 1);
}

Call::Call(unsigned node, unsigned port, std::string_view payload, unsigned timeout_ms, size_t room)
    : answer(room, '\0') {
  arguments.request = MakeSend(node, port, payload, 0);
  arguments.request.timeout_ms = timeout_ms;
  arguments.reply = reinterpret_cast<uint64_t>(answer.data());
  arguments.reply_room = static_cast<uint32_t>(room);
}

}  // namespace clustix::vm
