// SPDX-License-Identifier: Apache-2.0
//
// What the commands of `clustix` share. Each command is one file with one Add...Command(), listed
// in the table of main.cc. That function declares the command's options and leaves the work for
// later in Context::run, so that nothing has happened yet when the command line turns out wrong.
// One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_COMMAND_H_
#define CLUSTIX_DAEMON_COMMAND_COMMAND_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"

namespace CLI {
class App;
}

namespace clustix::command {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

struct Context {
  // --socket; empty: client::FindSocket() decides.
  std::string socket;
  // As it was typed.
  std::string command_line;
  // The chosen command; returns the exit code. Set by the callback of its subcommand.
  std::function<int()> run;
};

// Prints "clustix: MESSAGE" to stderr and returns kExitFailed. A message reads "what happened: why
// (what to do)".
int Fail(const std::string& message);
int Fail(const absl::Status& status);
// The same, for what is wrong with the command line; returns kExitUsage.
int Misuse(const std::string& message);

// The width of the terminal that stdout is, else `otherwise`.
size_t TerminalColumns(size_t otherwise);

// "clustix 1.2.3 (wire protocol 1)"
std::string VersionLine();

void AddBenchCommand(CLI::App& app, Context& context);
void AddCompletionCommand(CLI::App& app, Context& context);
void AddDownCommand(CLI::App& app, Context& context);
void AddExecCommand(CLI::App& app, Context& context);
void AddInitCommand(CLI::App& app, Context& context);
void AddJobsCommand(CLI::App& app, Context& context);
void AddKillCommand(CLI::App& app, Context& context);
void AddKmodCommand(CLI::App& app, Context& context);
void AddNiceCommand(CLI::App& app, Context& context);
void AddNodeInitCommand(CLI::App& app, Context& context);
void AddNodesCommand(CLI::App& app, Context& context);
void AddPgrepCommand(CLI::App& app, Context& context);
void AddPkillCommand(CLI::App& app, Context& context);
void AddPsCommand(CLI::App& app, Context& context);
void AddPstreeCommand(CLI::App& app, Context& context);
void AddRunCommand(CLI::App& app, Context& context);
void AddSetCommand(CLI::App& app, Context& context);
void AddShellCommand(CLI::App& app, Context& context);
void AddStatusCommand(CLI::App& app, Context& context);
void AddTopCommand(CLI::App& app, Context& context);
void AddUpCommand(CLI::App& app, Context& context);
void AddVersionCommand(CLI::App& app, Context& context);
void AddWaitCommand(CLI::App& app, Context& context);
void AddWebCommand(CLI::App& app, Context& context);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_COMMAND_H_
