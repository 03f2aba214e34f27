// SPDX-License-Identifier: Apache-2.0
//
// Runs bench-msg-soak, the part of the messaging benchmark that compares Clustix with itself: with
// cut connections, and with many peers at once. One thread; starts and ends processes.
#ifndef CLUSTIX_DAEMON_BENCH_SOAK_H_
#define CLUSTIX_DAEMON_BENCH_SOAK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace clustix::bench {

struct SoakPlan {
  std::string congestion;
  uint32_t spin_us = 50;
  bool pin = true;
  int interrupt_fd = -1;  // readable: stop now
};

struct CutResult {
  uint64_t cuts = 0;         // connections reset
  uint64_t disconnects = 0;  // noticed by the session
  uint64_t resent = 0;       // messages that it sent again
  uint64_t sent = 0;
  uint64_t lost = 0, duplicated = 0, reordered = 0, corrupt = 0;
  double cut_msgs_per_s = 0, uncut_msgs_per_s = 0;  // medians, of times in turns

  bool clean() const { return lost == 0 && duplicated == 0 && reordered == 0 && corrupt == 0; }
};

// Takes one and a half times `seconds`: half as long as with cuts, it runs without.
absl::StatusOr<CutResult> RunCutSoak(const SoakPlan& plan, uint32_t cut_ms, uint32_t seconds);

struct NodeFigures {
  uint64_t node = 0;
  double msgs_per_s = 0, p50_us = 0, p99_us = 0;
};

// Calls of 64 bytes, `window` outstanding to each of `nodes` in one process. By node id.
absl::StatusOr<std::vector<NodeFigures>> RunManySoak(const SoakPlan& plan, uint32_t nodes,
                                                     uint32_t window, uint32_t duration_ms);

// Of the program's output. kInvalidArgument says what is wrong with it.
absl::StatusOr<CutResult> ParseCut(const std::string& line);
absl::StatusOr<std::vector<NodeFigures>> ParseMany(const std::string& line, uint32_t nodes);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_SOAK_H_
