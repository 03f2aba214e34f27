// SPDX-License-Identifier: Apache-2.0
//
// Runs bench-msg-soak, the part of the messaging benchmark that compares Clustix with itself: with
// cut connections, with many peers at once, beside a bulk stream, and with a receiver that stops to
// read. One thread; starts and ends processes.
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

// What became of all messages and calls.
struct DeliveryCounts {
  uint64_t sent = 0;
  uint64_t lost = 0, duplicated = 0, reordered = 0, corrupt = 0;

  bool clean() const { return lost == 0 && duplicated == 0 && reordered == 0 && corrupt == 0; }
};

struct CutResult {
  uint64_t cuts = 0;         // connections reset
  uint64_t disconnects = 0;  // noticed by the session
  uint64_t resent = 0;       // messages that it sent again
  DeliveryCounts counts;
  double cut_msgs_per_s = 0, uncut_msgs_per_s = 0;  // medians, of times in turns
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

// Medians over the rounds.
struct BulkResult {
  double idle_p50_us = 0, idle_p99_us = 0;      // of 64-byte calls, one at a time
  double beside_p50_us = 0, beside_p99_us = 0;  // while a stream of 1 MiB messages ran
  double mb_per_s = 0;                          // of the stream
  uint64_t streamed = 0;                        // its messages
  DeliveryCounts counts;
};

// Takes a little more than twice `rounds` times `duration_ms`.
absl::StatusOr<BulkResult> RunBulkSoak(const SoakPlan& plan, uint32_t rounds, uint32_t duration_ms);

enum class StallKind {
  kHold,  // the receiver's program does not answer: one lane stands still
  kStop,  // its process is stopped: all of it stands still
};

// Calls to a node, or on a lane, that does not stand still.
struct WatchedCalls {
  uint64_t node = 0;
  double before_per_s = 0, before_p99_us = 0;
  double stalled_per_s = 0, stalled_p99_us = 0;  // while the other one stood still
  double slowest_per_s = 0;                      // in the slowest second of it
};

struct StallResult {
  double stalled_s = 0;           // how long the receiver did not read
  uint64_t accepted_stalled = 0;  // what it accepted in the second half of that all the same
  uint64_t limit_bytes = 0;       // of the sender's queues to it, as stated
  uint64_t queue_most_bytes = 0;
  uint64_t rss_before_bytes = 0, rss_most_bytes = 0;  // of the sender
  std::vector<WatchedCalls> watched;
  double resumed_s = 0;  // until all had arrived, after it read again
  DeliveryCounts counts;
};

// Two more nodes, in a process of their own, are called meanwhile. Takes up to one and a half times
// `seconds`, and what it takes to send all that was queued.
absl::StatusOr<StallResult> RunStallSoak(const SoakPlan& plan, StallKind kind, uint32_t seconds);

// What is wrong with it, each in a sentence; empty: nothing.
std::vector<std::string> Complaints(const StallResult& result);

// Of the program's output. kInvalidArgument says what is wrong with it.
absl::StatusOr<CutResult> ParseCut(const std::string& line);
absl::StatusOr<std::vector<NodeFigures>> ParseMany(const std::string& line, uint32_t nodes);
absl::StatusOr<BulkResult> ParseBulk(const std::string& line);
absl::StatusOr<StallResult> ParseStall(const std::string& line);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_SOAK_H_
