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

std::shared_ptr<const procview::NodeSnapshot> ToNodeSnapshot(client::Node node) {
  if (!node.known) return nullptr;
  auto snapshot = std::make_shared<procview::NodeSnapshot>();
  snapshot->node = node.node;
  snapshot->hostname = std::move(node.files.hostname);
  snapshot->clock_ticks = node.files.clock_ticks;
  snapshot->page_bytes = node.files.page_bytes;
  snapshot->stat = std::move(node.files.stat);
  snapshot->meminfo = std::move(node.files.meminfo);
  snapshot->vmstat = std::move(node.files.vmstat);
  snapshot->loadavg = std::move(node.files.loadavg);
  snapshot->uptime = std::move(node.files.uptime);
  snapshot->cpuinfo = std::move(node.files.cpuinfo);
  snapshot->version = std::move(node.files.version);
  for (client::Process& process : node.processes) {
    snapshot->processes.push_back({.pid = process.pid,
                                   .uid = process.uid,
                                   .gid = process.gid,
                                   .stat = std::move(process.stat),
                                   .statm = std::move(process.statm),
                                   .status = std::move(process.status),
                                   .cmdline = std::move(process.cmdline),
                                   .comm = std::move(process.comm)});
  }
  return snapshot;
}

procview::ClusterSnapshot ToClusterSnapshot(client::Snapshot snapshot) {
  procview::ClusterSnapshot cluster;
  cluster.self = snapshot.self;
  for (client::Node& node : snapshot.nodes) {
    procview::NodeView view;
    view.node = node.node;
    view.name = node.name;
    view.address = node.address;
    view.state = node.state;
    view.stale = node.stale;
    view.age_ms = node.age_ms;
    view.snapshot = ToNodeSnapshot(std::move(node));
    cluster.nodes.push_back(std::move(view));
  }
  return cluster;
}

}  // namespace clustix::command
