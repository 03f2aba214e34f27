// SPDX-License-Identifier: Apache-2.0
//
// `clustix shell`: a shell, or any program, on a node of this machine, with the cluster's /proc.
#include "daemon/cluster/shell.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "lib/base/status.h"
#include "lib/client/client.h"
#include "lib/session/wire.h"

namespace clustix::command {
namespace {

absl::Status NoView(const std::string& name, const std::string& why) {
  return absl::UnavailableError(absl::StrCat(name, " has no view of the cluster's /proc: ", why));
}

absl::Status CheckDaemon(const cluster::Layout& layout, int node) {
  ASSIGN_OR_RETURN(client::Client daemon,
                   client::Client::Await(layout.Socket(node), client::kRestart));
  ASSIGN_OR_RETURN(client::Status status, daemon.GetStatus());
  if (!status.proc_mount.empty()) return absl::OkStatus();
  return NoView(cluster::NodeName(node),
                absl::StrCat(status.proc_note, " (see ", layout.Log(node), ")"));
}

// A daemon that was not started by `up`: the shell runs beside it.
absl::StatusOr<cluster::Place> FindPlace(const Context& context, int node) {
  ASSIGN_OR_RETURN(Connection daemon, ConnectToDaemon(context));
  ASSIGN_OR_RETURN(client::Status status, daemon.client.GetStatus());
  if (node != 0 && node != status.node) {
    return absl::NotFoundError(absl::StrCat("the daemon here is node ", status.node, ", ",
                                            status.name, ": node ", node,
                                            " has its shell on its own machine"));
  }
  if (daemon.client.DaemonPid() != status.pid) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the daemon at ", daemon.socket, " runs in a container, or is a node of another user's ",
        "cluster (run this there: sudo clustix shell; clustix ps and nodes work as anybody)"));
  }
  if (status.proc_mount.empty()) return NoView(status.name, status.proc_note);
  const std::string dir = std::filesystem::path(status.proc_mount).parent_path().string();
  return cluster::Place{status.name, daemon.socket, {dir, status.proc_mount, status.local_proc}};
}

// `base`: empty if none was named.
absl::StatusOr<int> Run(const Context& context, const std::string& base,
                        const cluster::ShellOptions& options) {
  const cluster::Layout layout(base.empty() ? cluster::DefaultBaseDir() : base);
  if (!base.empty() || (context.socket.empty() && cluster::HasNodes(layout))) {
    return cluster::RunShell(layout, options);
  }
  ASSIGN_OR_RETURN(cluster::Place place, FindPlace(context, options.node));
  return cluster::RunShellAt(place, options.argv);
}

}  // namespace

void AddShellCommand(CLI::App& app, Context& context) {
  auto base = std::make_shared<std::string>();
  auto options = std::make_shared<cluster::ShellOptions>();
  options->check_daemon = CheckDaemon;
  CLI::App* command = app.add_subcommand(
      "shell", "Open a shell on a node, in which ps, top, free, ... show the whole cluster");
  command->footer(
      "Without a cluster of clustix up, or with --socket, the node is that of the daemon here.\n"
      "Examples:\n"
      "  clustix shell\n"
      "  clustix shell --node 2 -- sleep 4242\n"
      "  clustix --socket /run/clustix/clustixd.sock shell -- ps -ef");
  command->add_option("--node", options->node, "Which node (default: the first that runs)")
      ->type_name("ID")
      ->check(CLI::Range(1, KCCM_NODE_MAX));
  command->add_option("--base-dir", *base, "The directory given to up")
      ->type_name("DIR")
      ->default_str(cluster::DefaultBaseDir());
  command->add_option("program", options->argv,
                      "What to run instead of $SHELL: -- ps -ef. The exit status is the program's");
  command->callback([base, options, &context] {
    context.run = [base, options, &context] {
      absl::StatusOr<int> code = Run(context, *base, *options);
      return code.ok() ? *code : Fail(code.status());
    };
  });
}

}  // namespace clustix::command
