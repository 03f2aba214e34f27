// SPDX-License-Identifier: Apache-2.0
//
// `clustix node-init`: the first process of a node that `clustix up` starts. Not for people, hence
// not in the help: it expects the descriptors that `up` gives it.
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "daemon/cluster/node.h"
#include "daemon/cluster/supervisor.h"
#include "daemon/command/command.h"

namespace clustix::command {

void AddNodeInitCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<cluster::NodeOptions>();
  auto mode = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("node-init", "First process of a node; started by up");
  command->group("");  // hidden
  command->add_option("--base-dir", options->base)->required();
  command->add_option("--node", options->node)->required();
  command->add_option("--mode", *mode)
      ->required()
      ->check(CLI::IsMember({cluster::ModeName(cluster::Mode::kNamespaces),
                             cluster::ModeName(cluster::Mode::kLoopback)}));
  command->callback([options, mode, &context] {
    context.run = [options, mode] {
      if (fcntl(cluster::kControlFd, F_GETFD) < 0) {
        return Fail("node-init is started by clustix up, not by hand");
      }
      options->mode = *mode == cluster::ModeName(cluster::Mode::kLoopback)
                          ? cluster::Mode::kLoopback
                          : cluster::Mode::kNamespaces;
      return cluster::Supervisor(*options).Run();
    };
  });
}

}  // namespace clustix::command
