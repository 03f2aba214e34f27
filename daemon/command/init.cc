// SPDX-License-Identifier: Apache-2.0
//
// `clustix init`: a new cluster's configuration and key.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "daemon/address.h"
#include "daemon/command/command.h"
#include "daemon/init_cluster.h"

namespace clustix::command {
namespace {

struct InitArguments {
  std::string directory = ".";
  std::string name = "clustix";
  std::vector<std::string> nodes;
  bool force = false;
};

// This machine as the only node, for whoever names none: a start that can be edited.
daemon::NodeConfig ThisMachine() {
  daemon::LocalIdentity identity = daemon::ReadLocalIdentity();
  daemon::NodeConfig node{.id = 1, .name = "node1", .address = ""};
  std::string host = identity.hostname.substr(0, identity.hostname.find('.'));
  if (daemon::IsValidName(host)) node.name = host;
  daemon::Address address{.ip = "127.0.0.1", .is_ipv6 = false, .port = daemon::kDefaultPort};
  for (const std::string& ip : identity.ips) {
    bool is_ipv6 = ip.find(':') != std::string::npos;
    if (is_ipv6 || ip.starts_with("127.")) continue;
    address.ip = ip;
    break;
  }
  node.address = address.Text();
  return node;
}

int RunInit(const InitArguments& arguments) {
  daemon::InitOptions options{.directory = arguments.directory,
                              .cluster_name = arguments.name,
                              .nodes = {},
                              .force = arguments.force};
  for (const std::string& text : arguments.nodes) {
    absl::StatusOr<daemon::NodeConfig> node = daemon::ParseNodeOption(text);
    if (!node.ok()) {
      Fail(node.status());
      return kExitUsage;
    }
    options.nodes.push_back(*node);
  }
  if (options.nodes.empty()) options.nodes.push_back(ThisMachine());
  absl::StatusOr<std::string> config = daemon::InitCluster(options);
  if (!config.ok()) return Fail(config.status());

  std::printf("Wrote %s and %s/%s (secret: whoever has it belongs to the cluster).\n",
              config->c_str(), options.directory.c_str(), daemon::kKeyFileName);
  for (const daemon::NodeConfig& node : options.nodes) {
    std::printf("  node %d  %-12s %s\n", node.id, node.name.c_str(), node.address.c_str());
  }
  std::printf(
      "Next: copy both files to every node, for instance to /etc/clustix, and run there\n"
      "  clustixd --config /etc/clustix/%s\n",
      daemon::kConfigFileName);
  return kExitOk;
}

}  // namespace

void AddInitCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<InitArguments>();
  CLI::App* command = app.add_subcommand("init", "Make the configuration and key of a new cluster");
  command->footer(
      "Examples:\n"
      "  clustix init\n"
      "  clustix init --dir /etc/clustix --name lab --node 1=10.0.0.1 --node 2=10.0.0.2:7500\n"
      "  clustix init --node 1=alpha@10.0.0.1 --node 2=beta@[fd00::2]:7400");
  command->add_option("--dir", arguments->directory, "Where to write cluster.toml and cluster.key")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--name", arguments->name, "Name of the cluster")
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("--node", arguments->nodes,
                   "A node, as ID=ADDRESS or ID=NAME@ADDRESS; once per node (default: this "
                   "machine alone). A port that is left out is 7400")
      ->type_name("NODE")
      ->allow_extra_args(false);
  command->add_flag("--force", arguments->force, "Replace the files that are there");
  command->callback(
      [&context, arguments] { context.run = [arguments] { return RunInit(*arguments); }; });
}

}  // namespace clustix::command
