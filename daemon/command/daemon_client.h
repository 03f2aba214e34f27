// SPDX-License-Identifier: Apache-2.0
//
// For commands that ask a running daemon. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_DAEMON_CLIENT_H_
#define CLUSTIX_DAEMON_COMMAND_DAEMON_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "daemon/command/command.h"
#include "lib/client/client.h"
#include "lib/procview/snapshot.h"

namespace clustix::command {

struct Connection {
  std::string socket;
  client::Client client;
};

// To the daemon that --socket or, without it, client::FindSocket() names.
absl::StatusOr<Connection> ConnectToDaemon(const Context& context);

// What the daemon sent, as lib/procview takes it.
std::shared_ptr<const procview::NodeSnapshot> ToNodeSnapshot(client::Node node);
procview::ClusterSnapshot ToClusterSnapshot(client::Snapshot snapshot);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_DAEMON_CLIENT_H_
