// SPDX-License-Identifier: Apache-2.0
//
// What the tests of /dev/kccm are written on. They run in a virtual machine (chardev_test.py) in
// which the network namespaces n1 and n2 are nodes 1 and 2, which know each other, and a node 3,
// which does not exist.
#ifndef CLUSTIX_TESTS_VM_DEVICE_FIXTURE_H_
#define CLUSTIX_TESTS_VM_DEVICE_FIXTURE_H_

#include <errno.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "tests/vm/device.h"

namespace clustix::vm {

inline constexpr unsigned kPort = 50;
inline constexpr unsigned kLongMs = 30'000;  // only a failing test waits that long
inline constexpr unsigned kShortMs = 1'500;  // tests wait that long

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

inline uint64_t StartCall(Device& device, const Call& call, bool fixed = false) {
  return device.Start(KCCM_URING_CALL, &call.arguments, sizeof(call.arguments), fixed);
}

inline kccm_uring_message MessageTo(unsigned node, unsigned lane, size_t offset, size_t length,
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

}  // namespace clustix::vm

#endif  // CLUSTIX_TESTS_VM_DEVICE_FIXTURE_H_
