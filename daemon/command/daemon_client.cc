// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/daemon_client.h"

#include <utility>

#include "lib/base/status.h"
#include "lib/client/socket_path.h"

namespace clustix::command {

absl::StatusOr<Connection> ConnectToDaemon(const Context& context) {
  ASSIGN_OR_RETURN(std::string socket, client::FindSocket(context.socket));
  ASSIGN_OR_RETURN(client::Client client, client::Client::Connect(socket));
  return Connection{std::move(socket), std::move(client)};
}

}  // namespace clustix::command
