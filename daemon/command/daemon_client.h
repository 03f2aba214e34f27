// SPDX-License-Identifier: Apache-2.0
//
// For commands that ask a running daemon. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_DAEMON_CLIENT_H_
#define CLUSTIX_DAEMON_COMMAND_DAEMON_CLIENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "daemon/command/command.h"
#include "lib/client/client.h"

namespace clustix::command {

struct Connection {
  std::string socket;
  client::Client client;
};

// To the daemon that --socket or, without it, client::FindSocket() names.
absl::StatusOr<Connection> ConnectToDaemon(const Context& context);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_DAEMON_CLIENT_H_
