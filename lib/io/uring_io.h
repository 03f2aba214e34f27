// SPDX-License-Identifier: Apache-2.0
//
// Io and DeviceIo on io_uring: one ring, one thread, TCP and unix sockets, devices. See io.h and
// device_io.h for the contracts.
//
// All functions but Loop::Post() and Stop() belong to the thread that calls Run(). Another thread
// may make it, listen and connect before Run(), and may destroy it once Run()'s thread has ended.
#ifndef CLUSTIX_LIB_IO_URING_IO_H_
#define CLUSTIX_LIB_IO_URING_IO_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/base/spin_policy.h"
#include "lib/io/device_io.h"
#include "lib/io/io.h"

namespace clustix::io {

struct UringOptions {
  // How long the loop looks out for completions before it sleeps, while that pays and cores are
  // idle (lib/base/spin_policy.h). 0: it sleeps at once.
  uint32_t spin_us = 50;
  // Whether cores are idle.
  std::function<bool()> cores_idle = base::IdleCoresProbe();
};

// System calls on the ways that every message takes; both only grow. Others (to connect, to wake
// another thread's loop) are not counted.
struct UringCounters {
  uint64_t entries = 0;  // into the kernel by io_uring_enter(): submits, waits
  uint64_t writes = 0;   // by sendmsg() itself, past the ring
  uint64_t reads = 0;    // by recv() itself, likewise
};

class UringIo : public Io, public DeviceIo {
 public:
  // kFailedPrecondition if the kernel has no io_uring, or forbids it.
  static absl::StatusOr<std::unique_ptr<UringIo>> Create(const UringOptions& options = {});
  // Ends all operations and closes all descriptors; calls no handler and no task.
  ~UringIo() override = default;
  Loop& loop() override = 0;  // of both
  // Turns the loop on the calling thread until Stop(). May be called again afterwards, by the same
  // thread.
  virtual void Run() = 0;
  // Makes Run() return after the current turn; if it does not run, makes the next Run() return
  // after one turn. Any thread.
  virtual void Stop() = 0;

  // Calls `readable` whenever `fd` has something to read, and again as long as it has. `fd` stays
  // the caller's, who unwatches it before closing it. One watch per descriptor.
  virtual void WatchFd(int fd, std::function<void()> readable) = 0;
  virtual void UnwatchFd(int fd) = 0;

  virtual UringCounters counters() const = 0;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_URING_IO_H_
