// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/floors.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "daemon/command/table.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using Measure = Floor::Measure;

// Where a row without spinning would stand in the same run as one with it.
constexpr std::string_view kOursBlocking = "clustix-blocking";

constexpr Case kSync64{Mode::kSync, 64, 1};
constexpr Case kFew64{Mode::kAsync, 64, 64};
constexpr Case kMany64{Mode::kAsync, 64, 1024};
constexpr Case kOneway64{Mode::kOneway, 64, 1};
constexpr Case kOneway64KiB{Mode::kOneway, size_t{64} << 10, 1};

constexpr std::string_view kCallSpin = "call, 64 B, one outstanding, adaptive spin";
constexpr std::string_view kCallBlocking = "call, 64 B, one outstanding, blocking";
constexpr std::string_view kCallFew = "async call, 64 B, 64 outstanding";
constexpr std::string_view kCallMany = "async call, 64 B, 1024 outstanding";
constexpr std::string_view kSyscallsMany = "system calls per message, 64 B, 1024 outstanding";
constexpr std::string_view kStream = "one way, 64 B";
constexpr std::string_view kStreamLarge = "one way, 64 KiB";

double FigureOf(const Row& row, Measure measure) {
  switch (measure) {
    case Measure::kMessagesPerSecond:
      return row.msgs_per_s;
    case Measure::kMegabytesPerSecond:
      return row.mb_per_s;
    case Measure::kP50:
      return row.p50_us;
    case Measure::kSyscallsPerMessage:
      return row.syscalls_per_msg;
  }
  return 0;
}

const Row* Find(const std::vector<Row>& rows, std::string_view peer, const Case& test) {
  auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.peer == peer && row.test.mode == test.mode &&
           row.test.size_bytes == test.size_bytes &&
           (test.mode != Mode::kAsync || row.test.window == test.window);
  });
  return found == rows.end() ? nullptr : &*found;
}

bool LessIsBetter(Measure measure) {
  return measure == Measure::kP50 || measure == Measure::kSyscallsPerMessage;
}

bool IsBetter(double a, double b, Measure measure) { return LessIsBetter(measure) ? a < b : a > b; }

std::vector<std::string> PeersOf(const Floor& floor) {
  std::vector<std::string> names;
  for (std::string_view peer : floor.peers) {
    if (!peer.empty()) names.emplace_back(peer);
  }
  return names;
}

Verdict VerdictOf(const Floor& floor, double measured) {
  const bool reached =
      LessIsBetter(floor.measure) ? measured <= floor.bound : measured >= floor.bound;
  return reached ? Verdict::kReached : Verdict::kMissed;
}

// Of a floor without peers.
FloorResult CheckAlone(const Floor& floor, const Row& ours) {
  FloorResult result{.floor = &floor, .against = "-"};
  const double figure = FigureOf(ours, floor.measure);
  if (figure > 0) {
    result.ratio = figure;
    result.verdict = VerdictOf(floor, figure);
  } else {
    result.reason = absl::StrCat(base::ToAbsl(floor.ours), " has no such figure");
  }
  return result;
}

FloorResult Check(const Floor& floor, const std::vector<Row>& rows) {
  FloorResult result{.floor = &floor, .against = absl::StrJoin(PeersOf(floor), ", ")};
  const Row* ours = Find(rows, floor.ours, floor.test);
  if (ours == nullptr) {
    result.reason = absl::StrCat("no row of ", base::ToAbsl(floor.ours));
    return result;
  }
  if (PeersOf(floor).empty()) return CheckAlone(floor, *ours);
  const Row* best = nullptr;
  for (const std::string& name : PeersOf(floor)) {
    const Row* peer = Find(rows, name, floor.test);
    if (peer == nullptr || !(FigureOf(*peer, floor.measure) > 0)) continue;
    if (best == nullptr ||
        IsBetter(FigureOf(*peer, floor.measure), FigureOf(*best, floor.measure), floor.measure)) {
      best = peer;
    }
  }
  if (best == nullptr) {
    result.reason = absl::StrCat("no figure of ", absl::StrJoin(PeersOf(floor), " or "));
    return result;
  }
  result.against = best->peer;
  result.ratio = Ratio(FigureOf(*ours, floor.measure), FigureOf(*best, floor.measure));
  if (!result.ratio) {
    result.reason = absl::StrCat(base::ToAbsl(floor.ours), " has no such figure");
    return result;
  }
  result.verdict = VerdictOf(floor, *result.ratio);
  return result;
}

std::string BoundTitle(const Floor& floor) {
  switch (floor.measure) {
    case Measure::kMessagesPerSecond:
      return absl::StrFormat("at least %gx messages/s", floor.bound);
    case Measure::kMegabytesPerSecond:
      return absl::StrFormat("at least %gx MB/s", floor.bound);
    case Measure::kP50:
      return absl::StrFormat("at most %gx p50", floor.bound);
    case Measure::kSyscallsPerMessage:
      return absl::StrFormat("at most %g", floor.bound);
  }
  return "";
}

std::string MeasuredTitle(const FloorResult& result) {
  if (!result.ratio) return "-";
  const bool alone = result.floor->measure == Measure::kSyscallsPerMessage;
  return alone ? absl::StrFormat("%.4f", *result.ratio) : absl::StrFormat("%.2fx", *result.ratio);
}

std::string VerdictTitle(const FloorResult& result) {
  switch (result.verdict) {
    case Verdict::kReached:
      return "reached";
    case Verdict::kMissed:
      return "missed";
    case Verdict::kNotMeasured:
      return absl::StrCat("not measured: ", result.reason);
  }
  return "";
}

}  // namespace

// Where the bounds come from. The raw programs do with the socket what can be done, without
// framing, checksums, authentication or delivery exactly once: a bound against them is what those
// may cost. The bounds against libraries say how much of what a library costs must be saved; they
// were set below what the raw programs reached beside the libraries on a 2-core Debian 12 machine.
const std::vector<Floor>& Floors() {
  constexpr Measure kRate = Measure::kMessagesPerSecond;
  static const auto* floors = new std::vector<Floor>{
      {kCallSpin, kOurs, kSync64, Measure::kP50, {"raw-spin"}, 1.4},
      {kCallSpin, kOurs, kSync64, kRate, {"sunrpc"}, 2.5},
      {kCallSpin, kOurs, kSync64, kRate, {"grpc-stream"}, 3},
      {kCallBlocking, kOursBlocking, kSync64, Measure::kP50, {"raw-blocking"}, 1.15},
      {kCallFew, kOurs, kFew64, kRate, {"raw-uring"}, 0.6},
      {kCallFew, kOurs, kFew64, kRate, {"zeromq"}, 3},
      {kCallFew, kOurs, kFew64, kRate, {"sunrpc"}, 20},
      {kCallFew, kOurs, kFew64, kRate, {"grpc", "grpc-stream"}, 20},
      {kCallMany, kOurs, kMany64, kRate, {"raw-epoll"}, 0.6},
      {kCallMany, kOurs, kMany64, kRate, {"zeromq"}, 1.5},
      {kCallMany, kOurs, kMany64, kRate, {"grpc", "grpc-stream"}, 40},
      {kCallMany, kOurs, kMany64, kRate, {"nng"}, 40},
      {kCallMany, kOurs, kMany64, kRate, {"capnp"}, 40},
      {kSyscallsMany, kOurs, kMany64, Measure::kSyscallsPerMessage, {}, 0.02},
      {kStream, kOurs, kOneway64, kRate, {"raw-epoll"}, 0.5},
      {kStream, kOurs, kOneway64, kRate, {"zeromq"}, 2},
      {kStream, kOurs, kOneway64, kRate, {"sunrpc-batched"}, 5},
      {kStreamLarge,
       kOurs,
       kOneway64KiB,
       Measure::kMegabytesPerSecond,
       {"raw-blocking", "raw-epoll", "raw-uring", "raw-spin"},
       0.9},
  };
  return *floors;
}

// Against what the same kernels have for the purpose.
const std::vector<Floor>& ModuleFloors() {
  constexpr Measure kRate = Measure::kMessagesPerSecond;
  constexpr std::string_view kServedByProgram = "call, 64 B, served by a program";
  constexpr std::string_view kServedInKernel = "call, 64 B, served in the kernel";
  constexpr std::string_view kInKernel = "kccm-kernel";
  static const auto* floors = new std::vector<Floor>{
      {kServedByProgram, kOurModule, kSync64, Measure::kP50, {"tipc"}, 1},
      {kServedByProgram, kOurModule, kSync64, Measure::kP50, {"rds"}, 1},
      {kServedByProgram, kOurModule, kSync64, kRate, {"sunrpc"}, 1.5},
      {kServedInKernel, kInKernel, kSync64, Measure::kP50, {"tipc"}, 1},
      {kServedInKernel, kInKernel, kSync64, Measure::kP50, {"rds"}, 1},
      {kServedInKernel, kInKernel, kSync64, kRate, {"sunrpc"}, 1.5},
      {kStream, kOurModule, kOneway64, kRate, {"tipc"}, 5},
      {kStream, kOurModule, kOneway64, kRate, {"rds"}, 5},
  };
  return *floors;
}

const std::vector<Floor>& FloorsFor(const std::vector<Row>& rows) {
  static const auto* none = new std::vector<Floor>;
  const auto has = [&rows](std::string_view peer) {
    return std::any_of(rows.begin(), rows.end(), [&](const Row& row) { return row.peer == peer; });
  };
  if (has(kOurModule)) return ModuleFloors();
  return has(kOurs) ? Floors() : *none;
}

std::vector<FloorResult> CheckFloors(const std::vector<Row>& rows,
                                     const std::vector<Floor>& floors) {
  std::vector<FloorResult> results;
  for (const Floor& floor : floors) results.push_back(Check(floor, rows));
  return results;
}

std::string RenderFloors(const std::vector<FloorResult>& results) {
  using command::Table;
  Table table({{"FLOOR"}, {"AGAINST"}, {"BOUND"}, {"MEASURED", Table::Align::kRight}, {"RESULT"}});
  for (const FloorResult& result : results) {
    table.Add({std::string(result.floor->goal), result.against, BoundTitle(*result.floor),
               MeasuredTitle(result), VerdictTitle(result)});
  }
  return table.Render();
}

}  // namespace clustix::bench
