// SPDX-License-Identifier: Apache-2.0
//
// What a run notes about the machine that it ran on. Reads /proc; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_MACHINE_H_
#define CLUSTIX_DAEMON_BENCH_MACHINE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bench/row.h"

namespace clustix::bench {

// `congestion`: what was asked for; empty stands for the system's, which is looked up.
Machine DescribeMachine(const std::string& congestion);
// Of one minute; 0 if it cannot be told.
double LoadAverage();
// The cores that this process may use.
std::vector<int> UsableCores();
// Whether this kernel lets TCP connections use it; kInvalidArgument names those that it does.
absl::Status CheckCongestion(const std::string& congestion);
// Now, in UTC: "2026-01-31T12:00:00Z".
std::string DateNow();

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_MACHINE_H_
