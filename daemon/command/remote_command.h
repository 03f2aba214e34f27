// SPDX-License-Identifier: Apache-2.0
//
// What `clustix exec` and `clustix run` share: how a program is to run on another node. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_REMOTE_COMMAND_H_
#define CLUSTIX_DAEMON_COMMAND_REMOTE_COMMAND_H_

#include <string>
#include <vector>

#include "daemon/command/command.h"

namespace clustix::command {

struct RemoteArguments {
  bool terminal = false;
  bool no_terminal = false;
  bool no_input = false;
  std::vector<std::string> environment;
  std::string directory;
  std::vector<std::string> argv;
};

void DeclareRemoteOptions(CLI::App& command, RemoteArguments& arguments);

// Runs it on a node, by id or name, and returns its exit code, or one of remote/attachment.h.
int RunRemote(const Context& context, const std::string& node, const RemoteArguments& arguments);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_REMOTE_COMMAND_H_
