// SPDX-License-Identifier: Apache-2.0
//
// An open /dev/kccm with a ring of io_uring, for tests that run in a virtual machine. One thread.
#ifndef CLUSTIX_TESTS_VM_DEVICE_H_
#define CLUSTIX_TESTS_VM_DEVICE_H_

#include <liburing.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "include/uapi/kccm.h"

namespace clustix::vm {

struct Message {
  uint64_t request;
  unsigned from, lane;
  bool wants_reply;
  std::string payload;
};

// As a read has put it there.
Message MessageIn(const char* read);

class Device {
 public:
  // Opens it in a network namespace made by `ip netns`.
  explicit Device(const std::string& name_space);
  // The file of another one, with a ring of its own.
  explicit Device(int fd);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Starts a command; a number for Result(). `async`: in a thread of io_uring's.
  uint64_t Start(unsigned op, const void* arguments, size_t bytes, bool fixed_buffer = false,
                 bool async = false);
  // Waits for its end. Nothing else is done meanwhile.
  int Result(uint64_t number);
  // The same at once.
  int Do(unsigned op, const void* arguments = nullptr, size_t bytes = 0);

  int Send(unsigned node, unsigned port, std::string_view payload, unsigned lane = 0);
  // One command for all; `many` has its flags, and gets the rest.
  int SendMany(kccm_uring_send_many& many, std::vector<kccm_uring_message>& messages,
               std::string_view payloads, bool fixed_buffer = false);
  int Confirm(unsigned node, unsigned port, std::string_view payload, unsigned timeout_ms);
  int Reply(uint64_t request, std::string_view payload, unsigned status = 0);

  int Bind(unsigned port, unsigned entries = 256, unsigned arena_bytes = 2 << 20);
  // The next message; waits with poll() until there is one.
  Message Next();
  // The next message by read(); its size, or minus an errno.
  int Read(Message& message, size_t room = 4096) const;
  // Starts one by io_uring, into memory that must outlive it; a number for Result().
  uint64_t StartRead(void* to, size_t room);
  // By READ_MULTISHOT: `count` messages, or fewer and why there are no more.
  std::vector<Message> ReadMany(size_t count, int& error);
  // What poll() says now.
  short Poll(short events) const;
  // Registers this memory as the buffer of commands with a fixed one.
  int Register(void* memory, size_t bytes);
  // What other threads and processes do with it.
  int fd() const { return fd_; }
  void CloseFd();
  void* Map(uint64_t offset, size_t bytes, int protection, int flags) const;
  size_t ring_bytes() const { return ring_bytes_; }
  // Tells the kernel how many messages are done with.
  void SetConsumed(uint32_t count);

 private:
  int fd_ = -1;
  io_uring uring_;
  uint64_t next_number_ = 1;
  std::map<uint64_t, int> results_;
  size_t ring_bytes_ = 0;
  const char* memory_ = nullptr;
  uint32_t* shared_consumed_ = nullptr;
  uint32_t consumed_ = 0;
};

// A call with the memory for its answer, which must outlive it.
struct Call {
  Call(unsigned node, unsigned port, std::string_view payload, unsigned timeout_ms,
       size_t room = 4096);
  kccm_uring_call arguments = {};
  std::string answer;
};

}  // namespace clustix::vm

#endif  // CLUSTIX_TESTS_VM_DEVICE_H_
