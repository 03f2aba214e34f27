// SPDX-License-Identifier: Apache-2.0
//
// `clustix version`: what this program is; needs no daemon.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "lib/session/wire.h"

namespace clustix::command {
namespace {

int RunVersion() {
  std::printf("%s\n", VersionLine().c_str());
  return kExitOk;
}

}  // namespace

std::string VersionLine() {
  return absl::StrCat("clustix ", CLUSTIX_VERSION, " (wire protocol ", KCCM_VERSION_MAX, ")");
}

void AddVersionCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("version", "Print the version of this program");
  command->callback([&context] { context.run = RunVersion; });
}

}  // namespace clustix::command
