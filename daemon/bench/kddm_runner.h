// SPDX-License-Identifier: Apache-2.0
//
// Runs what `clustix bench kddm` measures: a cluster of its own, and the program bench-kddm
// (tests/bench/kddm) on it. Starts and ends processes; one thread.
#ifndef CLUSTIX_DAEMON_BENCH_KDDM_RUNNER_H_
#define CLUSTIX_DAEMON_BENCH_KDDM_RUNNER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bench/kddm_run.h"

namespace clustix::bench {

struct KddmPlan {
  uint32_t rounds = 5;
  bool quick = false;     // fewer objects and samples, shorter times
  int interrupt_fd = -1;  // readable: stop now
};

struct KddmResult {
  std::vector<KddmRow> rows;  // of what was measured
  double loadavg = 0;
  // kCancelled: interrupted. Otherwise why not all was measured.
  absl::Status status;
};

KddmResult RunKddm(const KddmPlan& plan, const std::function<void(const KddmNext&)>& next);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_KDDM_RUNNER_H_
