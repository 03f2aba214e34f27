// SPDX-License-Identifier: Apache-2.0
//
// `clustix run`: a program on the node that has most to spare.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/remote_command.h"
#include "daemon/remote/attachment.h"
#include "daemon/remote/placement.h"
#include "lib/base/status.h"

namespace clustix::command {
namespace {

struct RunArguments {
  std::string on = "least-loaded";
  bool verbose = false;
  RemoteArguments remote;
};

absl::StatusOr<std::string> Choose(const Context& context, const RunArguments& arguments) {
  const bool local = arguments.on == "local";
  if (!local && arguments.on != "least-loaded") return arguments.on;
  ASSIGN_OR_RETURN(Connection daemon, ConnectToDaemon(context));
  if (local) {
    ASSIGN_OR_RETURN(client::Status status, daemon.client.GetStatus());
    return std::to_string(status.node);
  }
  ASSIGN_OR_RETURN(std::vector<proc::NodeSummary> nodes, daemon.client.GetNodes());
  ASSIGN_OR_RETURN(remote::Placement chosen, remote::LeastLoaded(nodes));
  if (arguments.verbose) {
    std::fprintf(stderr, "clustix: runs on %s: load %.2f per processor\n", chosen.name.c_str(),
                 chosen.load_per_cpu);
  }
  return std::to_string(chosen.node);
}

int RunRun(const Context& context, const RunArguments& arguments) {
  absl::StatusOr<std::string> node = Choose(context, arguments);
  if (!node.ok()) {
    Fail(absl::StrCat("not started: ", node.status().message()));
    return remote::kExitNotStarted;
  }
  if (arguments.verbose && arguments.on != "least-loaded") {
    std::fprintf(stderr, "clustix: runs on node %s\n", node->c_str());
  }
  return RunRemote(context, *node, arguments.remote);
}

}  // namespace

void AddRunCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = app.add_subcommand("run", "Run a program on the least loaded node");
  command->footer(
      "That is the node with the smallest load of the last minute per processor; of equals, this\n"
      "one. A node that does not answer now is never chosen. Then all is as of clustix exec.\n"
      "Examples:\n"
      "  clustix run -- make -j4\n"
      "  clustix run -v --on least-loaded -- ./simulate 42\n"
      "  clustix run --on local -- hostname");
  command->add_option("--on", arguments->on, "Where: least-loaded, local, or a node by id or name")
      ->type_name("WHERE")
      ->capture_default_str();
  command->add_flag("-v,--verbose", arguments->verbose, "Say on stderr where it runs");
  DeclareRemoteOptions(*command, arguments->remote);
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunRun(context, *arguments); };
  });
}

}  // namespace clustix::command
