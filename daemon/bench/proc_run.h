// SPDX-License-Identifier: Apache-2.0
//
// What `clustix bench proc` found out about the cluster's /proc, beside other ways to list as many
// processes; as tables, as JSON, and against what it has to reach. Pure values; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_PROC_RUN_H_
#define CLUSTIX_DAEMON_BENCH_PROC_RUN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/bench/row.h"

namespace clustix::bench {

// The ways to list processes. The first is what the others are compared to.
inline constexpr std::string_view kWayPlain = "plain";
inline constexpr std::string_view kWayView = "view";
inline constexpr std::string_view kWayCollect = "collect";
inline constexpr std::string_view kWayFuse = "fuse";
inline constexpr std::string_view kWayOurs = "clustix-ps";

// One way to list all processes, measured once in each round.
struct ListingWay {
  std::string name;
  std::vector<double> times_ms = {};  // by round
  uint64_t lines = 0;                 // the least that a round printed
};

// The daemon of a node while nobody looks.
struct IdleNode {
  int node = 0;
  double core_percent = 0;  // 100: one core
};

// From something that happens on one node until the view of another shows it.
struct Lag {
  std::string name;  // "births", "exits"
  std::vector<double> times_ms = {};
};

struct ProcRun {
  Machine machine;
  std::string date;  // as in Run
  std::string command_line;
  double loadavg = 0;  // of one minute, before the first round
  int nodes = 0;
  int processes = 0;  // that were added on each node
  std::vector<ListingWay> ways = {};
  double idle_s = 0;  // how long nobody looked
  std::vector<IdleNode> idle = {};
  std::vector<Lag> lags = {};

  // Null if it was not measured.
  const ListingWay* FindWay(std::string_view name) const;
};

// A bound on one figure of a run.
struct ProcFloor {
  std::string what;
  double bound = 0;
  std::optional<double> measured = {};

  bool reached() const { return measured && *measured <= bound; }
};
std::vector<ProcFloor> CheckProcFloors(const ProcRun& run);

// Medians, spreads and ratios; then the floors, a line each.
std::string RenderProcRun(const ProcRun& run);
// With every single time, and what was made of it.
std::string ProcRunToJson(const ProcRun& run);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_PROC_RUN_H_
