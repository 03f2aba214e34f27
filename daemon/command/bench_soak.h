// SPDX-License-Identifier: Apache-2.0
//
// The parts of `clustix bench msg` that compare Clustix with itself. Each runs, prints what came of
// it and returns the exit code. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_BENCH_SOAK_H_
#define CLUSTIX_DAEMON_COMMAND_BENCH_SOAK_H_

#include <cstdint>

#include "daemon/bench/soak.h"

namespace clustix::command {

// --cut: kExitFailed if anything was lost, duplicated, reordered or changed.
int RunCutCommand(const bench::SoakPlan& plan, uint32_t cut_ms, uint32_t seconds);

// --peers-at-once: kExitFailed if a node got nothing.
int RunManyCommand(const bench::SoakPlan& plan, uint32_t nodes, uint32_t window,
                   uint32_t duration_ms);

// --beside-bulk: kExitFailed if anything was lost, duplicated, reordered or changed.
int RunBulkCommand(const bench::SoakPlan& plan, uint32_t rounds, uint32_t duration_ms);

// --stall, in both ways: kExitFailed if a limit was exceeded, another node was held up, or anything
// was lost, duplicated, reordered or changed.
int RunStallCommand(const bench::SoakPlan& plan, uint32_t seconds);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_BENCH_SOAK_H_
