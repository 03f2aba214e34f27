// SPDX-License-Identifier: Apache-2.0
//
// `clustix down`: ends the cluster that `clustix up` started on this machine, and the virtual
// machines of `./up --vm`.
#include "daemon/cluster/down.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "daemon/cluster/machines.h"
#include "daemon/command/command.h"

namespace clustix::command {
namespace {

int RunDown(const std::string& base) {
  const cluster::Layout layout(base);
  absl::StatusOr<cluster::DownResult> result = cluster::Down(layout);
  absl::StatusOr<bool> machines = cluster::DownMachines(layout);
  if (machines.ok() && *machines) std::printf("switched off the virtual machines\n");
  if (!result.ok()) return Fail(result.status());
  if (!machines.ok()) return Fail(machines.status());
  if (result->nodes > 0) {
    std::printf("stopped %d node%s", result->nodes, result->nodes == 1 ? "" : "s");
    if (result->killed > 0) std::printf(", of which %d had to be killed", result->killed);
    std::printf("\n");
  } else if (result->leftovers || !*machines) {
    std::printf("no cluster ran in %s%s\n", base.c_str(),
                result->leftovers ? "; removed what an earlier one had left" : "");
  }
  return kExitOk;
}

}  // namespace

void AddDownCommand(CLI::App& app, Context& context) {
  auto base = std::make_shared<std::string>(cluster::DefaultBaseDir());
  CLI::App* command =
      app.add_subcommand("down", "End the cluster that up started, and leave no trace of it");
  command->add_option("--base-dir", *base, "The directory given to up")
      ->type_name("DIR")
      ->capture_default_str();
  command->callback([base, &context] { context.run = [base] { return RunDown(*base); }; });
}

}  // namespace clustix::command
