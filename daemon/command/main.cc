// SPDX-License-Identifier: Apache-2.0
//
// The `clustix` command: finds the command asked for in the table below, parses, runs.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "daemon/command/command.h"

namespace clustix::command {
namespace {

using AddCommand = void (*)(CLI::App&, Context&);

// In the order in which --help shows them.
constexpr AddCommand kCommands[] = {
    AddUpCommand,    AddDownCommand, AddShellCommand, AddNodeInitCommand, AddStatusCommand,
    AddNodesCommand, AddPsCommand,   AddInitCommand,  AddVersionCommand,
};

// Usage errors have their own exit code; --help is no error.
int ReportParse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    return app.exit(error);
  }
  std::fprintf(stderr, "clustix: %s (see: clustix --help)\n", error.what());
  return kExitUsage;
}

int Main(int argc, char** argv) {
  CLI::App app("Several Linux machines as one: runs a cluster and shows what runs in it.",
               "clustix");
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 wrong usage.\n"
      "`clustix COMMAND --help` explains one command.");
  app.require_subcommand(1);
  Context context;
  app.add_option("--socket", context.socket,
                 "Socket of the daemon to talk to (default: $CLUSTIX_SOCKET, else the first "
                 "daemon that runs on this machine)")
      ->type_name("PATH");
  for (AddCommand add : kCommands) add(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ReportParse(app, error);
  }
  return context.run();
}

}  // namespace
}  // namespace clustix::command

int main(int argc, char** argv) { return clustix::command::Main(argc, argv); }
