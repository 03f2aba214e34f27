// SPDX-License-Identifier: Apache-2.0
//
// The serving side of one raw connection, without the socket: says where received bytes go, and
// which bytes are to be sent. A request becomes its own answer, in place, so that nothing is
// copied; but only once all of it is there, as a server that looks at requests has to wait for it.
// One thread.
#ifndef CLUSTIX_TESTS_BENCH_MSG_RAW_ECHO_H_
#define CLUSTIX_TESTS_BENCH_MSG_RAW_ECHO_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/msg/raw_frame.h"

namespace clustix::bench {

class EchoSide {
 public:
  EchoSide();

  // Where the next bytes go; empty while there is no room before something has been sent.
  std::span<std::byte> Incoming();
  absl::Status Received(size_t bytes);
  // Whole answers that are to be sent, and possibly the rest of one.
  std::span<const std::byte> Outgoing() const;
  absl::Status Sent(size_t bytes);

  // Serves until the client closes the connection.
  bool done() const { return false; }
  absl::Status OnEnd() const { return absl::OkStatus(); }

 private:
  absl::Status Parse();

  // In this order in buffer_: [begin_, parsed_) is to be sent, [parsed_, filled_) not yet whole.
  std::vector<std::byte> buffer_;
  size_t begin_ = 0, parsed_ = 0, filled_ = 0;
  uint64_t oneway_ = 0;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_RAW_ECHO_H_
