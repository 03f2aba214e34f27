// SPDX-License-Identifier: Apache-2.0
//
// What `clustix kill` and `clustix pkill` share: signals by name, and what became of one that was
// sent. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_SIGNALS_H_
#define CLUSTIX_DAEMON_COMMAND_SIGNALS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/command/command.h"
#include "lib/proc/signal_outcome.h"

namespace clustix::command {

// Exit codes of commands that send signals, beside those that all have. Of several processes, the
// largest counts.
inline constexpr int kExitDenied = 3;
inline constexpr int kExitUnreachable = 4;
inline constexpr int kExitUnknown = 5;

// "TERM", "SIGTERM", "15", "RTMIN+1", "0"; nothing if there is no such signal.
std::optional<int> ParseSignal(const std::string& text);
// "TERM"; "64" for one without a name.
std::string SignalName(int signal);
// Every signal that has a name, with its number, as `kill -l` lists them.
std::string SignalList();

// 0: it is no global pid.
int32_t ParseGlobalPid(const std::string& word);
// Says so, and what one is; returns kExitUsage.
int NotGlobalPid(const std::string& word);

// kill and pkill take "-9" and "-TERM", which no parser of options understands: writes them as
// "--signal=9". Arguments of other commands, and what follows "--", stay as they are.
std::vector<std::string> SpellOutSignals(std::vector<std::string> arguments);

// Sends one signal; says what went wrong on stderr and returns the exit code. 0 for `start_ticks`:
// whoever has the pid now.
int SendSignalTo(const Context& context, int32_t gpid, int signal, uint64_t start_ticks);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_SIGNALS_H_
