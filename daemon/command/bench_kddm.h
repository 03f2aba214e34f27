// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench kddm`: object sets beside raw TCP, Redis and a map of the process.
#ifndef CLUSTIX_DAEMON_COMMAND_BENCH_KDDM_H_
#define CLUSTIX_DAEMON_COMMAND_BENCH_KDDM_H_

#include "daemon/command/command.h"

namespace clustix::command {

void AddBenchKddmCommand(CLI::App& bench, Context& context);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_BENCH_KDDM_H_
