// SPDX-License-Identifier: Apache-2.0
//
// What both sides of the clustix peer share: a node of a cluster of two, the client's and the
// server's. One thread, the loop's.
#ifndef CLUSTIX_TESTS_BENCH_MSG_CLUSTIX_NODE_H_
#define CLUSTIX_TESTS_BENCH_MSG_CLUSTIX_NODE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/io/uring_io.h"
#include "lib/msg/session_messenger.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {

// The lower id dials.
inline constexpr NodeId kClientNode = 1;
inline constexpr NodeId kServerNode = 2;

inline constexpr Port kEchoPort = 100;         // calls; answered with their payload
inline constexpr Port kOnewayPort = 101;       // one-way messages; counted
inline constexpr Port kArrivedPort = 102;      // a call: how many since the last one, as a uint64_t
inline constexpr Port kSystemCallsPort = 103;  // a call: the server's so far, as a uint64_t

// Lanes are for small and urgent messages, and for bulk; what a program would choose by size.
inline Lane LaneFor(size_t size_bytes) {
  constexpr size_t kBulkBytes = 32 * 1024;
  return size_bytes < kBulkBytes ? Lane::kControl : Lane::kBulk;
}

inline uint64_t SystemCallsOf(const io::UringIo& io) {
  const io::UringCounters counters = io.counters();
  return counters.entries + counters.writes + counters.reads;
}

class ClustixNode {
 public:
  static absl::StatusOr<std::unique_ptr<ClustixNode>> Start(const PeerOptions& options, NodeId self,
                                                            const std::string& listen_address,
                                                            const msg::PeerConfig& peer);
  // Ends the messenger, and turns the loop until all of its connections are closed.
  ~ClustixNode();

  io::UringIo& io() { return *io_; }
  Messenger& messenger() { return *messenger_; }

 private:
  std::unique_ptr<io::UringIo> io_;
  std::unique_ptr<Messenger> messenger_;
  bool closed_ = false;
};

std::unique_ptr<Server> MakeClustixServer();
std::unique_ptr<Client> MakeClustixClient();

// A messenger over a loop that spins for options.spin_us, for any program of the benchmark. Never
// logs anything but errors: connections end with every run.
absl::StatusOr<std::unique_ptr<io::UringIo>> MakeLoop(const PeerOptions& options);
msg::MessengerConfig MakeConfig(const PeerOptions& options, NodeId self,
                                const std::string& listen_address);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_CLUSTIX_NODE_H_
