// SPDX-License-Identifier: Apache-2.0
//
// Moves the bytes of a raw connection by send() and recv() that never wait; what happens when
// neither has anything to do is the business of `Waiter`:
//
//   absl::Status Start(int fd);
//   // Returns when `fd` may have something to read, or room for more to send, whichever is asked
//   // for; true if a recv() is worth while.
//   absl::StatusOr<bool> Wait(bool to_receive, bool to_send);
//
// One thread.
#ifndef CLUSTIX_TESTS_BENCH_MSG_RAW_NONBLOCKING_H_
#define CLUSTIX_TESTS_BENCH_MSG_RAW_NONBLOCKING_H_

#include <sys/socket.h>

#include <atomic>
#include <cerrno>

#include "tests/bench/msg/raw_peer.h"

namespace clustix::bench {

template <class Waiter>
class NonblockingDriver {
 public:
  static constexpr size_t kMostOutstandingBytes = SIZE_MAX;

  NonblockingDriver(const PeerOptions& options, const std::atomic<bool>& stop) : stop_(stop) {}

  template <class Side>
  absl::Status Drive(Side& side, int fd) {
    Waiter waiter;
    RETURN_IF_ERROR(waiter.Start(fd));
    bool readable = false;
    while (!stop_.load(std::memory_order_relaxed)) {
      bool moved = false;
      const auto out = side.Outgoing();
      if (!out.empty()) {
        const ssize_t sent = send(fd, out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
          return IsEnd(errno) ? side.OnEnd() : base::ErrnoStatus(errno, "send");
        }
        moved = sent > 0;
        if (moved) RETURN_IF_ERROR(side.Sent(static_cast<size_t>(sent)));
      }
      if (side.done()) return absl::OkStatus();
      const auto room = side.Incoming();
      if (readable && !room.empty()) {
        const ssize_t received = recv(fd, room.data(), room.size(), MSG_DONTWAIT);
        if (received == 0) return side.OnEnd();
        if (received < 0 && errno != EAGAIN) {
          return IsEnd(errno) ? side.OnEnd() : base::ErrnoStatus(errno, "recv");
        }
        // Less than there was room for: there is no more.
        readable = received == static_cast<ssize_t>(room.size());
        if (received > 0) {
          RETURN_IF_ERROR(side.Received(static_cast<size_t>(received)));
          moved = true;
        }
      }
      if (!moved) {
        ASSIGN_OR_RETURN(readable, waiter.Wait(!room.empty(), !out.empty()));
      }
    }
    return absl::OkStatus();
  }

 private:
  const std::atomic<bool>& stop_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_RAW_NONBLOCKING_H_
