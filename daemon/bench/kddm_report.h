// SPDX-License-Identifier: Apache-2.0
//
// A run of `clustix bench kddm` as tables, and whether it reached what object sets must reach
// beside raw TCP. Only figures of one run are compared. Pure; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_KDDM_REPORT_H_
#define CLUSTIX_DAEMON_BENCH_KDDM_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "daemon/bench/floors.h"
#include "daemon/bench/kddm_run.h"

namespace clustix::bench {

struct KddmFloor {
  enum class Measure { kP50, kOpsPerSecond, kBytes };

  const char* goal;
  // Our row: its case, where it is measured, and the size (0: any).
  const char* test;
  const char* where;
  uint64_t size_bytes;
  Measure measure;
  // The row that ours is compared with; nullptr: the figure itself counts, in ns, per second or
  // bytes.
  const char* against;
  const char* against_where;
  double bound;  // kOpsPerSecond: at least; else at most
};

struct KddmFloorResult {
  const KddmFloor* floor = nullptr;
  Verdict verdict = Verdict::kNotMeasured;
  std::optional<double> measured = {};
};

const std::vector<KddmFloor>& KddmFloors();
std::vector<KddmFloorResult> CheckKddmFloors(const KddmRun& run);

// All tables, then the floors.
std::string RenderKddm(const KddmRun& run);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_KDDM_REPORT_H_
