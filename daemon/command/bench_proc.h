// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench proc`. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_BENCH_PROC_H_
#define CLUSTIX_DAEMON_COMMAND_BENCH_PROC_H_

#include "daemon/command/command.h"

namespace clustix::command {

// `bench` is the command that it stands below.
void AddBenchProcCommand(CLI::App& bench, Context& context);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_BENCH_PROC_H_
