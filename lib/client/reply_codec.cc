// SPDX-License-Identifier: Apache-2.0
#include "lib/client/reply_codec.h"

namespace clustix::client {
namespace {

std::string ToString(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

std::vector<Counter> DecodeCounters(capnp::List<proto::Counter>::Reader from) {
  std::vector<Counter> counters;
  for (proto::Counter::Reader counter : from) {
    counters.push_back({counter.getName().cStr(), counter.getValue()});
  }
  return counters;
}

NodeFiles DecodeFiles(proto::NodeFiles::Reader from) {
  NodeFiles files;
  files.hostname = from.getHostname().cStr();
  files.clock_ticks = from.getClockTicks();
  files.page_bytes = from.getPageBytes();
  files.stat = ToString(from.getStat());
  files.meminfo = ToString(from.getMeminfo());
  files.vmstat = ToString(from.getVmstat());
  files.loadavg = ToString(from.getLoadavg());
  files.uptime = ToString(from.getUptime());
  files.cpuinfo = ToString(from.getCpuinfo());
  files.version = ToString(from.getVersion());
  return files;
}

}  // namespace

Status DecodeStatus(proto::Status::Reader from) {
  Status status;
  status.version = from.getVersion().cStr();
  status.cluster_name = from.getClusterName().cStr();
  status.cluster_uuid = from.getClusterUuid().cStr();
  status.node = from.getNode();
  status.name = from.getName().cStr();
  status.address = from.getAddress().cStr();
  status.incarnation = from.getIncarnation();
  status.pid = from.getPid();
  status.uptime_ms = from.getUptimeMs();
  status.proc_mount = from.getProcMount().cStr();
  status.proc_note = from.getProcNote().cStr();
  status.transport_name = from.getTransport().getName().cStr();
  status.transport_reason = from.getTransport().getReason().cStr();
  for (proto::Peer::Reader peer : from.getPeers()) {
    status.peers.push_back({.node = peer.getNode(),
                            .name = peer.getName().cStr(),
                            .address = peer.getAddress().cStr(),
                            .state = peer.getState().cStr(),
                            .incarnation = peer.getIncarnation(),
                            .counters = DecodeCounters(peer.getCounters())});
  }
  status.counters = DecodeCounters(from.getCounters());
  return status;
}

Node DecodeNode(proto::Node::Reader from) {
  Node node;
  node.node = from.getNode();
  node.name = from.getName().cStr();
  node.address = from.getAddress().cStr();
  node.state = from.getState().cStr();
  node.stale = from.getStale();
  node.age_ms = from.getAgeMs();
  node.known = from.getKnown();
  if (node.known) node.files = DecodeFiles(from.getFiles());
  node.process_count = from.getProcessCount();
  return node;
}

Process DecodeProcess(proto::Process::Reader from) {
  Process process;
  process.pid = from.getPid();
  process.uid = from.getUid();
  process.gid = from.getGid();
  process.stat = ToString(from.getStat());
  process.statm = ToString(from.getStatm());
  process.status = ToString(from.getStatus());
  process.cmdline = ToString(from.getCmdline());
  process.comm = ToString(from.getComm());
  return process;
}

}  // namespace clustix::client
