// SPDX-License-Identifier: Apache-2.0
//
// `clustix shell`: a shell, or any program, on a node of this machine, with the cluster's /proc.
#include "daemon/cluster/shell.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "lib/base/status.h"
#include "lib/client/client.h"

namespace clustix::command {
namespace {

// A daemon that was killed is back at once, as a rule.
constexpr std::chrono::seconds kRestart{2};

absl::Status CheckDaemon(const cluster::Layout& layout, int node) {
  ASSIGN_OR_RETURN(client::Client daemon, client::Client::Await(layout.Socket(node), kRestart));
  ASSIGN_OR_RETURN(client::Status status, daemon.GetStatus());
  if (!status.proc_mount.empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      cluster::NodeName(node), " has no view of the cluster's /proc: ", status.proc_note, " (see ",
      layout.Log(node), ")"));
}

}  // namespace

void AddShellCommand(CLI::App& app, Context& context) {
  auto base = std::make_shared<std::string>(cluster::DefaultBaseDir());
  auto options = std::make_shared<cluster::ShellOptions>();
  options->check_daemon = CheckDaemon;
  CLI::App* command = app.add_subcommand(
      "shell", "Open a shell on a node, in which ps, top, free, ... show the whole cluster");
  command->add_option("--node", options->node, "Which node (default: the first that runs)")
      ->type_name("ID")
      ->check(CLI::Range(1, cluster::kMaxNodes));
  command->add_option("--base-dir", *base, "The directory given to up")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("program", options->argv,
                      "What to run instead of $SHELL: -- ps -ef. The exit status is the program's");
  command->callback([base, options, &context] {
    context.run = [base, options] {
      absl::StatusOr<int> code = cluster::RunShell(cluster::Layout(*base), *options);
      return code.ok() ? *code : Fail(code.status());
    };
  });
}

}  // namespace clustix::command
