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

// The id of a node of `up` that is given by id or name; 0 for none given.
absl::StatusOr<int> FindNode(const std::string& node) {
  if (node.empty()) return 0;
  for (int id = 1; id <= cluster::kMaxNodes; ++id) {
    if (node == std::to_string(id) || node == cluster::NodeName(id)) return id;
  }
  return absl::NotFoundError(absl::StrCat("no node can be called ", node,
                                          " here (clustix up names ", "them ", cluster::NodeName(1),
                                          ", ", cluster::NodeName(2), ", ...)"));
}

// A daemon that was not started by `up`: the shell runs beside it.
absl::StatusOr<cluster::Place> FindPlace(const Context& context, const std::string& node) {
  ASSIGN_OR_RETURN(Connection daemon, ConnectToDaemon(context));
  ASSIGN_OR_RETURN(client::Status status, daemon.client.GetStatus());
  if (!node.empty() && node != std::to_string(status.node) && node != status.name) {
    return absl::NotFoundError(absl::StrCat("the daemon here is node ", status.node, ", ",
                                            status.name, ": node ", node,
                                            " has its shell on its own machine"));
  }
  if (!status.shares_pids) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the daemon at ", daemon.socket, " runs in a container, or is a node of another user's ",
        "cluster (run this there: sudo clustix shell; clustix ps and nodes work as anybody)"));
  }
  if (status.proc_mount.empty()) return NoView(status.name, status.proc_note);
  const std::string dir = std::filesystem::path(status.proc_mount).parent_path().string();
  return cluster::Place{status.name, daemon.socket, {dir, status.proc_mount, status.local_proc}};
}

// `base`: empty if none was named.
absl::StatusOr<int> RunShell(const Context& context, const std::string& base,
                             const std::string& node, cluster::ShellOptions& options) {
  const cluster::Layout layout(base.empty() ? cluster::DefaultBaseDir() : base);
  if (!base.empty() || (context.socket.empty() && cluster::HasNodes(layout))) {
    ASSIGN_OR_RETURN(options.node, FindNode(node));
    return cluster::RunShell(layout, options);
  }
  ASSIGN_OR_RETURN(cluster::Place place, FindPlace(context, node));
  return cluster::RunShellAt(place, options.argv);
}

}  // namespace

void AddShellCommand(CLI::App& app, Context& context) {
  auto base = std::make_shared<std::string>();
  auto node = std::make_shared<std::string>();
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
  command->add_option("--node", *node, "Which node, by id or name (default: the first that runs)")
      ->type_name("NODE");
  command->add_option("--base-dir", *base, "The directory given to up")
      ->type_name("DIR")
      ->default_str(cluster::DefaultBaseDir());
  command->add_option("program", options->argv,
                      "What to run instead of $SHELL: -- ps -ef. The exit status is the program's");
  command->callback([base, node, options, &context] {
    context.run = [base, node, options, &context] {
      absl::StatusOr<int> code = RunShell(context, *base, *node, *options);
      return code.ok() ? *code : Fail(code.status());
    };
  });
}

}  // namespace clustix::command
