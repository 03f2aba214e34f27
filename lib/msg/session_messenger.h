// SPDX-License-Identifier: Apache-2.0
//
// The user-space messenger: lib/session over the stream sockets of an Io. The same class runs over
// io_uring in clustixd and over the simulator's network in tests/sim.
#ifndef CLUSTIX_LIB_MSG_SESSION_MESSENGER_H_
#define CLUSTIX_LIB_MSG_SESSION_MESSENGER_H_

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/io/io.h"

namespace clustix::msg {

struct PeerConfig {
  NodeId node;
  std::string address;  // as Io::Connect takes it
};

struct MessengerConfig {
  NodeId node;
  std::string listen_address;  // as Io::Listen takes it
  std::string bind_address;    // local IP for outgoing connections; empty: the system's choice
  std::array<uint8_t, 16> cluster;
  std::array<uint8_t, 32> key;
  uint64_t incarnation;  // random, never 0
  std::vector<PeerConfig> peers;
  std::string congestion;  // TCP_CONGESTION; empty: the system's
  // 0 takes the default of lib/session/wire.h.
  uint32_t tolerance_ms = 0;
  uint32_t queue_messages = 0, queue_bytes = 0, window_messages = 0, window_bytes = 0;
  bool payload_crc = false;
};

// Fills `to` with unpredictable bytes; the simulator hands in a seeded one.
using RandomFn = std::function<void(void* to, size_t bytes)>;
RandomFn SystemRandom();

// Starts to listen and to connect. `io` must outlive it. When it is destroyed, every pending send
// and call is completed (kNotDelivered or kUnknown) and connections are closed; the loop must then
// run until they are. `closed`, if given, runs on the loop when the last of them is, after the end
// of the messenger or a start that failed.
absl::StatusOr<std::unique_ptr<Messenger>> StartSessionMessenger(
    io::Io& io, const MessengerConfig& config, RandomFn random,
    std::function<void()> closed = nullptr);

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_SESSION_MESSENGER_H_
