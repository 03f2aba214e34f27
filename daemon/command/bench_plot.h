// SPDX-License-Identifier: Apache-2.0
//
// The commands below `clustix bench` that measure nothing, but show runs that were kept. One
// thread.
#ifndef CLUSTIX_DAEMON_COMMAND_BENCH_PLOT_H_
#define CLUSTIX_DAEMON_COMMAND_BENCH_PLOT_H_

#include "daemon/command/command.h"

namespace clustix::command {

// `bench` is the command that they stand below.
void AddBenchPlotCommand(CLI::App& bench, Context& context);
void AddBenchShowCommand(CLI::App& bench, Context& context);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_BENCH_PLOT_H_
