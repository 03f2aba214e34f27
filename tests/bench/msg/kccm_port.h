// SPDX-License-Identifier: Apache-2.0
//
// An open /dev/kccm with a ring of io_uring, as fast as a program can use them (include/uapi/kccm.h
// explains the interface). One thread.
#ifndef CLUSTIX_TESTS_BENCH_MSG_KCCM_PORT_H_
#define CLUSTIX_TESTS_BENCH_MSG_KCCM_PORT_H_

#include <liburing.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "include/uapi/kccm.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {

// Two services: calls to one are answered with what they carry; the other counts messages, and
// answers a call with how many have come from the caller, a u64.
struct KccmService {
  unsigned echo_port, counter_port;
};
inline constexpr KccmService kInKernel{7, 8};  // kmod/sample
inline constexpr KccmService kInUserSpace{57, 58};

class KccmUring {
 public:
  static absl::StatusOr<std::unique_ptr<KccmUring>> Make(unsigned entries);
  ~KccmUring() { io_uring_queue_exit(&uring_); }
  KccmUring(const KccmUring&) = delete;
  KccmUring& operator=(const KccmUring&) = delete;

  // Queues a command. `arguments` must stay until it has completed. A quiet one completes visibly
  // only if it fails.
  void Queue(int device, unsigned op, void* arguments, size_t bytes, uint64_t user_data,
             bool quiet = false);
  // The same for what goes to a peer: all that is submitted together leaves together.
  void QueueSend(int device, kccm_uring_send& send, uint64_t user_data);  // quiet
  void QueueCall(int device, kccm_uring_call& call, uint64_t user_data);
  void QueueReply(int device, kccm_uring_reply& reply, uint64_t user_data);  // quiet
  // Queues a poll that completes each time.
  void QueuePoll(int fd, short events, uint64_t user_data);
  // Submits what is queued, and waits for `completions`.
  absl::Status Submit(unsigned completions);
  // Takes the completions that are there; how many.
  unsigned Reap(const std::function<void(uint64_t user_data, int result, bool more)>& take);

 private:
  KccmUring() = default;
  io_uring_sqe* NextEntry();
  io_uring uring_ = {};
  // Tells the last of those queued that it is.
  std::function<void()> last_;
};

absl::StatusOr<base::UniqueFd> OpenKccm();

// The receiving end of a port.
class KccmPort {
 public:
  static absl::StatusOr<std::unique_ptr<KccmPort>> Bind(KccmUring& uring, unsigned port);
  ~KccmPort();
  KccmPort(const KccmPort&) = delete;
  KccmPort& operator=(const KccmPort&) = delete;

  int fd() const { return fd_.get(); }
  // Messages that have come and are not consumed.
  uint32_t available() const;
  const kccm_uring_descriptor& At(uint32_t i) const {
    return descriptors_[(consumed_ + i) % ring_->entries];
  }
  const char* Payload(const kccm_uring_descriptor& at) const { return arena_ + at.offset; }
  // Done with that many. True: messages wait for the room, and have to be pumped.
  bool Consume(uint32_t count);

 private:
  KccmPort() = default;
  base::UniqueFd fd_;
  void* memory_ = nullptr;
  size_t memory_bytes_ = 0;
  const kccm_uring_ring* ring_ = nullptr;
  const kccm_uring_descriptor* descriptors_ = nullptr;
  const char* arena_ = nullptr;
  uint32_t* shared_consumed_ = nullptr;
  uint32_t consumed_ = 0;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_KCCM_PORT_H_
