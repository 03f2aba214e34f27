// SPDX-License-Identifier: Apache-2.0
//
// The least that messaging must reach beside its peers, and whether a run reached it. Only ratios
// inside one interleaved run count; figures of different runs are never compared. Pure; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_FLOORS_H_
#define CLUSTIX_DAEMON_BENCH_FLOORS_H_

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/bench/row.h"

namespace clustix::bench {

struct Floor {
  // How our figure stands to the peer's: the rates at least, the latency at most `bound` times it.
  // kSyscallsPerMessage stands by itself: at most `bound`.
  enum class Measure { kMessagesPerSecond, kMegabytesPerSecond, kP50, kSyscallsPerMessage };

  std::string_view goal;  // of which goal it is a part
  std::string_view ours;  // our row
  Case test;              // the window counts for async alone
  Measure measure;
  // The best of those that were measured is what counts; empty names are none.
  // Without any, our figure itself counts.
  std::array<std::string_view, 4> peers;
  double bound;
};

// All of them, by goal: of Clustix in user space, and of its module, in virtual machines.
const std::vector<Floor>& Floors();
const std::vector<Floor>& ModuleFloors();
// Those that a run with these rows is about; none if Clustix is not among them.
const std::vector<Floor>& FloorsFor(const std::vector<Row>& rows);

enum class Verdict { kReached, kMissed, kNotMeasured };

struct FloorResult {
  const Floor* floor = nullptr;
  Verdict verdict = Verdict::kNotMeasured;
  std::string against;               // the peer that counted, or those that would have
  std::optional<double> ratio = {};  // of our figure to the peer's, or our figure
  std::string reason = {};           // if it was not measured: "no figure of grpc"
};

// One result for each floor, in their order.
std::vector<FloorResult> CheckFloors(const std::vector<Row>& rows,
                                     const std::vector<Floor>& floors = Floors());

// One line for each: the floor, the measured ratio, and reached, missed or not measured.
std::string RenderFloors(const std::vector<FloorResult>& results);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_FLOORS_H_
