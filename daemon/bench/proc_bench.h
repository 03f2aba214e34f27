// SPDX-License-Identifier: Apache-2.0
//
// Measures the cluster's /proc: starts a cluster and crowds of processes on its nodes, lists them
// in several ways in turns, watches how soon births and exits of another node show, and what the
// daemons cost when nobody looks. For root; from a program with one thread, for it forks.
#ifndef CLUSTIX_DAEMON_BENCH_PROC_BENCH_H_
#define CLUSTIX_DAEMON_BENCH_PROC_BENCH_H_

#include <string>

#include "absl/status/statusor.h"
#include "daemon/bench/proc_run.h"

namespace clustix::bench {

struct ProcBenchOptions {
  int nodes = 3;
  int processes = 1000;  // on each node
  int rounds = 9;
  int births = 200;  // and as many exits
  int idle_s = 10;
  std::string command_line;
};

// In a world of its own (own_world.h); says on stderr how far it is.
absl::StatusOr<ProcRun> RunProcBench(const ProcBenchOptions& options);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_PROC_BENCH_H_
