// SPDX-License-Identifier: Apache-2.0
//
// What the upper layers know of the outside world: stream sockets, timers, a clock and a way to be
// called back. `uring_io` implements it on io_uring, the simulator's `sim_io` on a seed.
//
// Everything here belongs to one thread, the loop's; only Loop::Post may be called from another.
// No callback runs inside the call that caused it: completions come from the loop, later.
#ifndef CLUSTIX_LIB_IO_IO_H_
#define CLUSTIX_LIB_IO_IO_H_

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace clustix::io {

// A moment of a monotonic clock, in nanoseconds; the same unit and origin as lib/session's now_ns.
using TimeNs = uint64_t;
inline constexpr TimeNs kNever = UINT64_MAX;

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic; never goes back.
  virtual TimeNs Now() const = 0;
  // As Now(), and cheaper, but up to kCoarseNs behind.
  virtual TimeNs CoarseNow() const { return Now(); }
  static constexpr TimeNs kCoarseNs = 10'000'000;
};

using TimerId = uint64_t;  // 0 is no timer

class Loop : public Clock {
 public:
  // Runs `task` on the loop's thread soon. The only function that any thread may call.
  virtual void Post(std::function<void()> task) = 0;
  // Runs `task` once when Now() >= when. O(log timers).
  virtual TimerId RunAt(TimeNs when, std::function<void()> task) = 0;
  // Returns false if the timer has run or been cancelled already.
  virtual bool Cancel(TimerId timer) = 0;
  // Runs `task` at the end of the current turn, after the completions that are ready now have been
  // handled (of many bytes received: some of them) and before the loop sleeps: where a messenger
  // writes what the turn has gathered. A task
  // that such a task adds runs at the end of the next turn, which comes without sleeping.
  virtual void AtEndOfTurn(std::function<void()> task) = 0;
};

// A stream socket, named by its Io. Never reused within one Io.
using StreamId = uint64_t;
using ListenerId = uint64_t;

// Where a stream's completions go. Must outlive OnClosed(), which is always the last call.
//
// A stream ends by Close(), by a failed connect, by an error or end of its incoming bytes. From
// then on only OnClosed() comes, which also stands for the OnSent() of a Send() in flight. A failed
// Send() by itself does not end the stream: the owner decides.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // A Connect() finished. On error (a positive errno) no further call but OnClosed() follows.
  virtual void OnConnected(int error) = 0;
  // Bytes arrived; valid during the call.
  virtual void OnData(std::span<const std::byte> data) = 0;
  // The Send() in flight finished: bytes written (possibly fewer than asked), or an errno.
  virtual void OnSent(size_t bytes, int error) = 0;
  // The stream is gone and nothing of it is in flight. error 0: the peer closed its side, or
  // Close().
  virtual void OnClosed(int error) = 0;
};

class ListenHandler {
 public:
  virtual ~ListenHandler() = default;
  // A connection came in. Returns who handles it; nullptr refuses it. Called for each connection.
  virtual StreamHandler* OnAccept(StreamId stream, const std::string& peer_address) = 0;
};

struct StreamOptions {
  bool no_delay = true;          // TCP_NODELAY; ignored for unix sockets
  uint32_t user_timeout_ms = 0;  // TCP_USER_TIMEOUT; 0 leaves the system's
  std::string congestion;        // TCP_CONGESTION; empty leaves the system's
};

class Io {
 public:
  virtual ~Io() = default;
  virtual Loop& loop() = 0;

  // `address` is "IPv4:port", "[IPv6]:port" or "unix:/path". Listening on port 0 picks one.
  virtual absl::StatusOr<ListenerId> Listen(const std::string& address,
                                            const StreamOptions& options,
                                            ListenHandler* handler) = 0;
  // The address a listener is bound to, in the same form.
  virtual std::string LocalAddress(ListenerId listener) const = 0;
  virtual void CloseListener(ListenerId listener) = 0;

  // Starts to connect; OnConnected() follows. An address that cannot be parsed fails at once.
  // `bind_address` may be empty, or a local IP to connect from.
  virtual absl::StatusOr<StreamId> Connect(const std::string& address,
                                           const std::string& bind_address,
                                           const StreamOptions& options,
                                           StreamHandler* handler) = 0;
  // Writes; the stretches must stay valid until OnSent() or OnClosed(), `vecs` itself only during
  // the call. One Send() in flight per stream; at most kMaxVecs stretches. Does nothing for a
  // stream that has ended.
  virtual void Send(StreamId stream, std::span<const iovec> vecs) = 0;
  // As Send(), on a unix socket and with open files (SCM_RIGHTS) beside the first byte. At most
  // kMaxFds, which must stay open until OnSent() or OnClosed().
  virtual void SendWithFds(StreamId stream, std::span<const iovec>, std::span<const int>) {
    Close(stream);  // this Io has no unix sockets
  }
  // This stream carries large transfers: what it receives in one turn is bounded, so that others do
  // not wait for it.
  virtual void SetBulk(StreamId) {}
  // Stops and resumes OnData(). Data may still come for what had already been received.
  virtual void PauseReceive(StreamId stream) = 0;
  virtual void ResumeReceive(StreamId stream) = 0;
  // Closes the stream; OnClosed() follows when nothing is in flight, and nothing else does.
  // Idempotent, and harmless for a stream that is gone.
  virtual void Close(StreamId stream) = 0;
  // Who is at the other end of a unix socket: the process that connected, or that called listen().
  // kFailedPrecondition for TCP, kNotFound for a stream that is gone.
  virtual absl::StatusOr<ucred> PeerCredentials(StreamId) {
    return absl::UnimplementedError("this Io has no unix sockets");
  }

  static constexpr size_t kMaxVecs = 64;
  static constexpr size_t kMaxFds = 4;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_IO_H_
