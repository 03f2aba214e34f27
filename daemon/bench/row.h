// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark run measured: one row for each peer and case, with the machine it ran on. The
// runner makes rows, report.h writes and compares them, plot.h draws them. Pure values; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_ROW_H_
#define CLUSTIX_DAEMON_BENCH_ROW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/bench/case.h"

namespace clustix::bench {

// `count` sampled latencies were at most `upper_us` and above the previous bucket's bound.
struct LatencyBucket {
  double upper_us = 0;
  uint64_t count = 0;

  bool operator==(const LatencyBucket&) const = default;
};

// One peer in one case, measured once.
struct Round {
  uint64_t messages = 0;
  double seconds = 0;
  double p50_us = 0;  // 0 if the mode has no latency, as one-way streams have not
  double p99_us = 0;
  double mb_per_s = 0;          // 10^6 bytes of payload per second, one way
  double cpu_us_per_msg = 0;    // client and server together; 0: not known
  double syscalls_per_msg = 0;  // client and server together; 0: the peer does not count
  double loadavg = 0;           // of one minute, when the round began
  std::vector<LatencyBucket> latency = {};  // by ascending upper_us; may be empty
};

// One peer in one case over all rounds. Figures are medians over the rounds, except where it says
// so.
struct Row {
  std::string peer;  // "clustix", "raw-epoll"
  Case test;
  double msgs_per_s = 0;
  double msgs_per_s_min = 0;  // the slowest round's
  double msgs_per_s_max = 0;  // the fastest round's
  double p50_us = 0;
  double p99_us = 0;
  double mb_per_s = 0;
  double cpu_us_per_msg = 0;
  double syscalls_per_msg = 0;  // 0: the peer does not count them
  double loadavg = 0;
  uint64_t rounds = 0;
  std::vector<LatencyBucket> latency = {};  // of all rounds together

  bool operator==(const Row&) const = default;
};

struct Machine {
  std::string cpu_model;
  uint64_t cores = 0;
  std::string kernel;  // `uname -r`
  uint64_t memory_bytes = 0;
  std::string congestion_control;  // what every peer's connections used

  bool operator==(const Machine&) const = default;
};

struct Run {
  Machine machine;
  std::string date;            // ISO 8601 in UTC, "2026-01-31T12:00:00Z"
  std::string command_line;    // as it was typed
  std::vector<Row> rows = {};  // at most one for each peer and case

  bool operator==(const Run&) const = default;
};

// The rows of one case, the fastest peer first.
struct CaseRows {
  Case test;
  std::vector<const Row*> rows;  // into what was grouped

  // Null if the peer was not measured in this case.
  const Row* Find(std::string_view peer) const;
  // The row that all others are compared to: Clustix, or where it is measured, its module.
  const Row* Ours() const;
};

// By mode, then size, then window.
std::vector<CaseRows> GroupByCase(const std::vector<Row>& rows);

// How many times `over` is of `under`; nothing if either is no positive figure, as after a round
// that measured nothing.
std::optional<double> Ratio(double over, double under);

// Ourselves.
inline constexpr std::string_view kOurs = "clustix";
inline constexpr std::string_view kOurModule = "kccm";

// The middle value, or the mean of the middle two; 0 of none.
double Median(std::vector<double> values);

// The row of a peer's rounds in one case. Without rounds all figures are 0.
Row Combine(std::string peer, const Case& test, const std::vector<Round>& rounds);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_ROW_H_
