// SPDX-License-Identifier: Apache-2.0
//
// `clustix version`: what this program is; needs no daemon.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "lib/session/wire.h"

namespace clustix::command {
namespace {

int RunVersion(bool as_json) {
  const nlohmann::json object = {{"version", CLUSTIX_VERSION}, {"wire_protocol", KCCM_VERSION_MAX}};
  std::printf("%s\n", as_json ? object.dump(2).c_str() : VersionLine().c_str());
  return kExitOk;
}

}  // namespace

std::string VersionLine() {
  return absl::StrCat("clustix ", CLUSTIX_VERSION, " (wire protocol ", KCCM_VERSION_MAX, ")");
}

void AddVersionCommand(CLI::App& app, Context& context) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("version", "Print the version of this program");
  command->add_flag("--json", *as_json, "Print one object");
  command->callback(
      [&context, as_json] { context.run = [as_json] { return RunVersion(*as_json); }; });
}

}  // namespace clustix::command
