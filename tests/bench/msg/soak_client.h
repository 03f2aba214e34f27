// SPDX-License-Identifier: Apache-2.0
//
// The asking side of the soak: node 1, with any number of servers. One thread, the loop's.
#ifndef CLUSTIX_TESTS_BENCH_MSG_SOAK_CLIENT_H_
#define CLUSTIX_TESTS_BENCH_MSG_SOAK_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/msg/clustix_node.h"
#include "tests/bench/msg/soak_stream.h"

namespace clustix::bench {

class SoakClient {
 public:
  // Connects to all `addresses`, and returns when all are up.
  static absl::StatusOr<std::unique_ptr<SoakClient>> Connect(
      const PeerOptions& options, const std::vector<std::string>& addresses);
  // Ends the messenger and turns the loop until its connections are closed.
  ~SoakClient();

  io::UringIo& io() { return *io_; }
  Messenger& messenger() { return *messenger_; }
  const std::vector<NodeId>& servers() const { return servers_; }

  // Turns the loop until `done`, asked after every Stop(), or until that many seconds have passed;
  // false then.
  bool RunUntil(const std::function<bool()>& done, double seconds);
  void RunFor(double seconds) {
    RunUntil([] { return false; }, seconds);
  }
  // A call, and the loop until it is answered. kUnavailable.
  absl::StatusOr<std::vector<std::byte>> Ask(NodeId node, Port port, Bytes payload);
  // What has arrived there.
  absl::StatusOr<SoakCounts> AskCounts(NodeId node);

 private:
  std::unique_ptr<io::UringIo> io_;
  std::unique_ptr<Messenger> messenger_;
  std::vector<NodeId> servers_;
  bool closed_ = false;
};

// Connections cut at random moments, `cut_ms` apart on average, for `seconds` in all, in turns with
// times without cuts. Prints one line of JSON: see soak_cut.cc.
absl::Status RunCut(const PeerOptions& options, const std::vector<std::string>& addresses,
                    uint32_t cut_ms, uint32_t seconds);

// Calls to all servers at once, `window` outstanding to each. Prints one line of JSON: {"seconds",
// "nodes": [{"node", "msgs_per_s", "p50_us", "p99_us"}, ...]}.
absl::Status RunMany(const PeerOptions& options, const std::vector<std::string>& addresses,
                     size_t size_bytes, size_t window, uint32_t duration_ms);

// Calls of 64 bytes, one at a time, for `duration_ms` alone and as long beside a stream of 1 MiB
// messages on the other lane, `rounds` times. Prints one line of JSON: see soak_bulk.cc.
absl::Status RunBulk(const PeerOptions& options, const std::vector<std::string>& addresses,
                     uint32_t rounds, uint32_t duration_ms);

enum class StallKind {
  kHold,  // its program does not answer the calls on the bulk lane
  kStop,  // its process is stopped
};

// The first of the servers, process `stalled_pid`, stops to read for `seconds`. Prints one line of
// JSON: see soak_stall.cc.
absl::Status RunStall(const PeerOptions& options, const std::vector<std::string>& addresses,
                      StallKind kind, int stalled_pid, uint32_t seconds);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_SOAK_CLIENT_H_
