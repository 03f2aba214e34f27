// SPDX-License-Identifier: Apache-2.0
//
// `clustix version`: what this program is; needs no daemon.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "daemon/command/command.h"
#include "lib/session/wire.h"

namespace clustix::command {
namespace {

int RunVersion() {
  std::printf("clustix %s (wire protocol %d)\n", CLUSTIX_VERSION, KCCM_VERSION_MAX);
  return kExitOk;
}

}  // namespace

void AddVersionCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("version", "Print the version of this program");
  command->callback([&context] { context.run = RunVersion; });
}

}  // namespace clustix::command
