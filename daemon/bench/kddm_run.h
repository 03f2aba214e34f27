// SPDX-License-Identifier: Apache-2.0
//
// A run of `clustix bench kddm`: what was said of it, a line of JSON each (tests/bench/kddm), rows
// combined of all rounds, and the file that --json writes. Pure but for SaveKddmRun(); any thread.
#ifndef CLUSTIX_DAEMON_BENCH_KDDM_RUN_H_
#define CLUSTIX_DAEMON_BENCH_KDDM_RUN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/bench/row.h"

namespace clustix::bench {

// Figures of 0 were not measured, or not counted.
struct KddmRow {
  std::string test;   // "get, the home has it"
  std::string where;  // "program, remote home"
  uint64_t size_bytes = 0;
  uint64_t nodes = 0;
  double p50_ns = 0, p99_ns = 0, ops_per_s = 0;
  // Counted. An operation without messages has no hops either.
  bool has_cost = false;
  double messages = 0, hops = 0, bytes = 0;

  bool IsAbout(const KddmRow& other) const {
    return test == other.test && where == other.where && size_bytes == other.size_bytes &&
           nodes == other.nodes;
  }
};

struct KddmRun {
  Machine machine;
  std::string date, command_line;
  uint32_t rounds = 0;
  double loadavg = 0;  // the median of what it was at the beginning of each step
  std::vector<KddmRow> rows;

  // The first such row. Empty and 0: any.
  const KddmRow* Find(std::string_view test, std::string_view where, uint64_t size_bytes = 0,
                      uint64_t nodes = 0) const;
};

// One line: what comes next, a row of one round, or that this was all.
struct KddmNext {
  std::string what;
  uint64_t done = 0, total = 0;
};
struct KddmLine {
  std::optional<KddmNext> next;
  std::optional<KddmRow> row;
  bool end = false;
};
// kInvalidArgument: it is none of them.
absl::StatusOr<KddmLine> ParseKddmLine(const std::string& line);

// One row of each subject, in the order in which they came first; figures are medians.
std::vector<KddmRow> CombineKddm(const std::vector<KddmRow>& rows);

// {"machine", "date", "command_line", "rounds", "loadavg", "rows": [{"case", "where", "size",
// "nodes", "p50_ns", "p99_ns", "ops_per_s", "messages", "hops", "bytes"}]}; null: not measured.
std::string KddmRunToJson(const KddmRun& run);
// The file is replaced whole or not at all.
absl::Status SaveKddmRun(const KddmRun& run, const std::string& path);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_KDDM_RUN_H_
