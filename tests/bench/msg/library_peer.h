// SPDX-License-Identifier: Apache-2.0
//
// What the peers made of libraries share: how many requests they have outstanding, how a payload is
// told from another one, and how a library that opens its own sockets is given the congestion
// control of the run. Functions keep no state; any thread.
#ifndef CLUSTIX_TESTS_BENCH_MSG_LIBRARY_PEER_H_
#define CLUSTIX_TESTS_BENCH_MSG_LIBRARY_PEER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {

// How long a client waits for a server that says nothing, where the library has such an option.
inline constexpr int kPatienceMs = 10'000;

// Of requests outstanding: what libraries keep of them, and of their replies, is their business,
// and some keep several copies.
inline constexpr size_t kMostOutstandingBytes = 64u << 20;

// The requests to have outstanding: the window, unless they are too large.
inline size_t WindowOf(const Case& what) {
  return std::clamp(kMostOutstandingBytes / what.size_bytes, size_t{1}, what.window);
}

// Blocking sockets with TCP_NODELAY and the congestion control of the run, for libraries that take
// a socket. What accept() makes of a listener inherits both.
absl::StatusOr<base::UniqueFd> ListenTcp(const PeerOptions& options);
absl::StatusOr<base::UniqueFd> ConnectTcp(const PeerOptions& options);
// The address that a socket is bound to, as "IPv4:port".
absl::StatusOr<std::string> BoundAddress(int fd);

// For libraries that make their own sockets and have no option for it: sets the congestion control
// of every TCP socket that this process has open. A server calls it once it listens, a client once
// it is connected. An empty name leaves the system's.
absl::Status SetCongestionOfOpenSockets(const std::string& congestion);

bool IsTcp(int fd);
// The same for one socket.
absl::Status SetCongestion(int fd, const std::string& congestion);

// A payload begins with its number, so that the echo of another one is noticed.
inline void StampPayload(void* bytes, size_t size_bytes, uint64_t number) {
  std::memcpy(bytes, &number, std::min(size_bytes, sizeof number));
}

absl::Status WrongEcho(size_t size_bytes, size_t expected_bytes, uint64_t number);

inline absl::Status CheckEcho(const void* bytes, size_t size_bytes, size_t expected_bytes,
                              uint64_t number) {
  if (size_bytes == expected_bytes &&
      std::memcmp(bytes, &number, std::min(size_bytes, sizeof number)) == 0) {
    return absl::OkStatus();
  }
  return WrongEcho(size_bytes, expected_bytes, number);
}

// The verdict on a one-way stream.
absl::Status CheckCount(uint64_t counted, uint64_t sent);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_LIBRARY_PEER_H_
