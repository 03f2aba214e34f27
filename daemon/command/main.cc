// SPDX-License-Identifier: Apache-2.0
//
// The `clustix` command: finds the command asked for in the table below, parses, runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "daemon/command/command.h"
#include "daemon/command/signals.h"
#include "daemon/spelling.h"

namespace clustix::command {
namespace {

using AddCommand = void (*)(CLI::App&, Context&);

// In the order in which --help shows them.
constexpr AddCommand kCommands[] = {
    AddUpCommand,    AddDownCommand,  AddShellCommand,   AddNodeInitCommand,   AddStatusCommand,
    AddNodesCommand, AddPsCommand,    AddPstreeCommand,  AddTopCommand,        AddPgrepCommand,
    AddPkillCommand, AddKillCommand,  AddWaitCommand,    AddNiceCommand,       AddExecCommand,
    AddRunCommand,   AddJobsCommand,  AddSetCommand,     AddWebCommand,        AddKmodCommand,
    AddInitCommand,  AddBenchCommand, AddVersionCommand, AddCompletionCommand,
};

// "; did you mean status?", or nothing.
std::string DidYouMeanCommand(const CLI::App& app, const std::string& typed) {
  std::vector<std::string_view> known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) known.push_back(command->get_name());
  }
  return daemon::DidYouMean(typed, known);
}

// Usage errors have their own exit code; --help is no error.
int ReportParse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    return app.exit(error);
  }
  std::string help = "clustix";
  std::vector<CLI::App*> chosen = app.get_subcommands();
  const bool has_command = !chosen.empty();
  for (; !chosen.empty(); chosen = chosen[0]->get_subcommands()) {
    help += " " + chosen[0]->get_name();
  }
  std::vector<std::string> extra = app.remaining(true);
  std::erase(extra, "--");  // which CLI11 counts among them until all else is right
  std::string what = error.what();
  if (!extra.empty()) {
    // CLI11 would name all, last first, or only say that there is no command.
    const char* kind = !has_command && extra[0][0] != '-' ? "no such command" : "not expected";
    what = std::string(kind) + ": " + extra[0];
    if (!has_command && extra[0][0] != '-') what += DidYouMeanCommand(app, extra[0]);
  }
  std::fprintf(stderr, "clustix: %s (see: %s --help)\n", what.c_str(), help.c_str());
  return kExitUsage;
}

// What is still buffered may find a full disk.
int FlushOutput(int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  return Fail(std::string("cannot write the output: ") + std::strerror(errno));
}

int Main(int argc, char** argv) {
  CLI::App app("Several Linux machines as one: runs a cluster and shows what runs in it.",
               "clustix");
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 wrong usage.\n"
      "`clustix COMMAND --help` explains one command.");
  app.require_subcommand(1);
  app.fallthrough();  // --socket may follow the command, too
  app.set_version_flag("--version", VersionLine());
  Context context;
  context.command_line = absl::StrJoin(argv, argv + argc, " ");
  app.add_option("--socket", context.socket,
                 "Socket of the daemon to talk to (default: $CLUSTIX_SOCKET, else the first "
                 "daemon that runs on this machine)")
      ->type_name("PATH");
  for (AddCommand add : kCommands) add(app, context);
  try {
    std::vector<std::string> arguments = SpellOutSignals({argv + 1, argv + argc});
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return ReportParse(app, error);
  }
  return FlushOutput(context.run());
}

}  // namespace
}  // namespace clustix::command

int main(int argc, char** argv) { return clustix::command::Main(argc, argv); }
