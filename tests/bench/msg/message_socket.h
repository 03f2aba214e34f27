// SPDX-License-Identifier: Apache-2.0
//
// A peer over sockets of the kernel that keep messages apart and deliver each once and in order, as
// those of TIPC and RDS do: the frames of raw_frame.h, each in a message of its own. Batches go
// through sendmmsg() and recvmmsg(). A family is all in which such peers differ.
#ifndef CLUSTIX_TESTS_BENCH_MSG_MESSAGE_SOCKET_H_
#define CLUSTIX_TESTS_BENCH_MSG_MESSAGE_SOCKET_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {

struct MessageFamily {
  // A socket that waits for clients at an address; what to tell them.
  std::function<absl::StatusOr<base::UniqueFd>(const std::string& address)> listen;
  std::function<absl::StatusOr<std::string>(int fd)> address_of;
  // Whether clients are accepted, each with a socket of its own; otherwise the one that listens
  // receives from all of them.
  bool accepts;
  size_t batch;  // messages for a sendmmsg(); some refuse what it says about the next one
  // A socket that reaches a server by plain send().
  std::function<absl::StatusOr<base::UniqueFd>(const std::string& address)> connect;
};

Peer MessageSocketPeer(const std::string& name, const std::string& title,
                       const MessageFamily& family);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_MESSAGE_SOCKET_H_
