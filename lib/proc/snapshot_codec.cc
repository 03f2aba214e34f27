// SPDX-License-Identifier: Apache-2.0
#include "lib/proc/snapshot_codec.h"

#include <capnp/message.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/status.h"
#include "proto/message.h"

namespace clustix::proc {
namespace {

capnp::Data::Reader ToData(std::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

std::string ToString(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

// As many whole lines as fit.
std::string_view CutLines(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t newline = text.rfind('\n', bytes_max - 1);
  return text.substr(0, newline == std::string_view::npos ? bytes_max : newline + 1);
}

size_t TextBytes(const ProcessRecord& process) {
  return process.stat.size() + process.statm.size() + process.status.size() +
         process.cmdline.size() + process.comm.size();
}

size_t TextBytes(const NodeSnapshot& snapshot) {
  size_t bytes = snapshot.stat.size() + snapshot.meminfo.size() + snapshot.vmstat.size() +
                 snapshot.loadavg.size() + snapshot.uptime.size() + snapshot.cpuinfo.size() +
                 snapshot.version.size() + snapshot.diskstats.size() + snapshot.partitions.size() +
                 snapshot.swaps.size() + snapshot.filesystems.size() + snapshot.net_dev.size() +
                 snapshot.pressure_cpu.size() + snapshot.pressure_io.size() +
                 snapshot.pressure_memory.size();
  for (const ProcessRecord& process : snapshot.processes) bytes += TextBytes(process);
  return bytes;
}

// What a process takes in a page: its texts, rounded up, and the fixed part of its struct.
size_t WireBytes(const ProcessRecord& process) {
  constexpr size_t kFixedBytes = 72;
  constexpr size_t kPaddingBytes = 5 * sizeof(capnp::word);
  return TextBytes(process) + kFixedBytes + kPaddingBytes;
}

void EncodeFiles(const NodeSnapshot& from, proto::NodeFiles::Builder to) {
  constexpr size_t kFileBytes = proto::NODE_FILE_BYTES_MAX;
  // Less, so that all still fit one message: some 200 disks or interfaces.
  constexpr size_t kDeviceFileBytes = kFileBytes / 2;
  constexpr size_t kShortFileBytes = kFileBytes / 8;
  to.setHostname(from.hostname.c_str());
  to.setClockTicks(from.clock_ticks);
  to.setPageBytes(from.page_bytes);
  to.setStat(ToData(CutLines(from.stat, proto::STAT_BYTES_MAX)));
  to.setMeminfo(ToData(CutLines(from.meminfo, kFileBytes)));
  to.setVmstat(ToData(CutLines(from.vmstat, kFileBytes)));
  to.setLoadavg(ToData(CutLines(from.loadavg, kFileBytes)));
  to.setUptime(ToData(CutLines(from.uptime, kFileBytes)));
  to.setCpuinfo(ToData(CutLines(from.cpuinfo, proto::CPUINFO_BYTES_MAX)));
  to.setVersion(ToData(CutLines(from.version, kFileBytes)));
  to.setDiskstats(ToData(CutLines(from.diskstats, kDeviceFileBytes)));
  to.setPartitions(ToData(CutLines(from.partitions, kDeviceFileBytes)));
  to.setSwaps(ToData(CutLines(from.swaps, kShortFileBytes)));
  to.setFilesystems(ToData(CutLines(from.filesystems, kShortFileBytes)));
  to.setNetDev(ToData(CutLines(from.net_dev, kDeviceFileBytes)));
  to.setPressureCpu(ToData(CutLines(from.pressure_cpu, kShortFileBytes)));
  to.setPressureIo(ToData(CutLines(from.pressure_io, kShortFileBytes)));
  to.setPressureMemory(ToData(CutLines(from.pressure_memory, kShortFileBytes)));
  to.setWatch(from.watch.c_str());
}

void DecodeFiles(proto::NodeFiles::Reader from, NodeSnapshot& to) {
  to.hostname = from.getHostname().cStr();
  to.clock_ticks = from.getClockTicks();
  to.page_bytes = from.getPageBytes();
  to.stat = ToString(from.getStat());
  to.meminfo = ToString(from.getMeminfo());
  to.vmstat = ToString(from.getVmstat());
  to.loadavg = ToString(from.getLoadavg());
  to.uptime = ToString(from.getUptime());
  to.cpuinfo = ToString(from.getCpuinfo());
  to.version = ToString(from.getVersion());
  to.diskstats = ToString(from.getDiskstats());
  to.partitions = ToString(from.getPartitions());
  to.swaps = ToString(from.getSwaps());
  to.filesystems = ToString(from.getFilesystems());
  to.net_dev = ToString(from.getNetDev());
  to.pressure_cpu = ToString(from.getPressureCpu());
  to.pressure_io = ToString(from.getPressureIo());
  to.pressure_memory = ToString(from.getPressureMemory());
  to.watch = from.getWatch().cStr();
}

void EncodeProcess(const ProcessRecord& from, proto::Process::Builder to) {
  to.setPid(from.pid);
  to.setUid(from.uid);
  to.setGid(from.gid);
  to.setHidden(from.hidden);
  to.setSeenByOwner(from.seen_by_owner);
  to.setSeenByGid(from.seen_by_gid);
  to.setStat(ToData(from.stat));
  to.setStatm(ToData(from.statm));
  to.setStatus(ToData(from.status));
  to.setCmdline(ToData(from.cmdline));
  to.setComm(ToData(from.comm));
}

ProcessRecord DecodeProcess(proto::Process::Reader from) {
  ProcessRecord process;
  process.pid = from.getPid();
  process.uid = from.getUid();
  process.gid = from.getGid();
  process.hidden = from.getHidden();
  process.seen_by_owner = from.getSeenByOwner();
  process.seen_by_gid = from.getSeenByGid();
  process.stat = ToString(from.getStat());
  process.statm = ToString(from.getStatm());
  process.status = ToString(from.getStatus());
  process.cmdline = ToString(from.getCmdline());
  process.comm = ToString(from.getComm());
  return process;
}

void EncodeNode(const NodeView& view, proto::Node::Builder to) {
  to.setNode(view.node);
  to.setName(view.name.c_str());
  to.setAddress(view.address.c_str());
  to.setState(view.state.c_str());
  to.setStale(view.stale);
  to.setAgeMs(view.age_ms);
  to.setKnown(view.snapshot != nullptr);
  if (view.snapshot == nullptr) return;
  EncodeFiles(*view.snapshot, to.initFiles());
  to.setProcessCount(static_cast<uint32_t>(view.snapshot->processes.size()));
}

// `processes` is empty for a summary.
NodeView DecodeNode(proto::Node::Reader from, capnp::List<proto::Process>::Reader processes) {
  NodeView view;
  view.node = from.getNode();
  view.name = from.getName().cStr();
  view.address = from.getAddress().cStr();
  view.state = from.getState().cStr();
  view.stale = from.getStale();
  view.age_ms = from.getAgeMs();
  if (!from.getKnown()) return view;
  auto snapshot = std::make_shared<NodeSnapshot>();
  snapshot->node = view.node;
  DecodeFiles(from.getFiles(), *snapshot);
  snapshot->processes.reserve(processes.size());
  for (proto::Process::Reader process : processes) {
    snapshot->processes.push_back(DecodeProcess(process));
  }
  view.snapshot = std::move(snapshot);
  return view;
}

}  // namespace

std::vector<std::byte> EncodeSnapshotPage(const NodeSnapshot& snapshot, int32_t after_pid) {
  capnp::MallocMessageBuilder message;
  proto::SnapshotPage::Builder page = message.initRoot<proto::ProcReply>().initSnapshot();
  size_t bytes = 0;
  if (after_pid <= 0) {
    EncodeFiles(snapshot, page.initNode());
    bytes = message.sizeInWords() * sizeof(capnp::word);
  }
  auto first =
      std::upper_bound(snapshot.processes.begin(), snapshot.processes.end(), after_pid,
                       [](int32_t pid, const ProcessRecord& process) { return pid < process.pid; });
  auto last = first;
  // At least one, so that the asker gets on.
  while (last != snapshot.processes.end() &&
         (last == first || bytes + WireBytes(*last) <= proto::PAGE_BYTES_MAX)) {
    bytes += WireBytes(*last);
    ++last;
  }
  auto processes = page.initProcesses(static_cast<unsigned>(last - first));
  for (auto process = first; process != last; ++process) {
    EncodeProcess(*process, processes[static_cast<unsigned>(process - first)]);
  }
  page.setMore(last != snapshot.processes.end());
  page.setTakenNs(snapshot.taken_ns);
  return proto::WriteMessage(message);
}

absl::Status AppendSnapshotPage(proto::SnapshotPage::Reader page, NodeSnapshot& snapshot) {
  bool first_page = snapshot.processes.empty();
  if (first_page && !page.hasNode()) {
    return absl::InvalidArgumentError("the first page has no node-wide files");
  }
  NodeSnapshot fetched;
  if (first_page) DecodeFiles(page.getNode(), fetched);
  auto processes = page.getProcesses();
  if (processes.size() == 0 && page.getMore()) {
    return absl::InvalidArgumentError("a page without processes promises more");
  }
  fetched.processes.reserve(processes.size());
  int32_t last_pid = first_page ? 0 : snapshot.processes.back().pid;
  for (proto::Process::Reader process : processes) {
    if (process.getPid() <= last_pid) {
      return absl::InvalidArgumentError(
          absl::StrCat("pid ", process.getPid(), " follows pid ", last_pid));
    }
    last_pid = process.getPid();
    fetched.processes.push_back(DecodeProcess(process));
  }
  if (last_pid >= 1 << kGlobalPidShift) {
    return absl::InvalidArgumentError(absl::StrCat("pid ", last_pid, " is out of range"));
  }
  if (TextBytes(snapshot) + TextBytes(fetched) > proto::SNAPSHOT_BYTES_MAX) {
    return absl::InvalidArgumentError("the snapshot is larger than any machine's");
  }
  if (first_page) {
    fetched.node = snapshot.node;
    fetched.taken_ns = page.getTakenNs();
    snapshot = std::move(fetched);
    return absl::OkStatus();
  }
  snapshot.processes.insert(snapshot.processes.end(),
                            std::make_move_iterator(fetched.processes.begin()),
                            std::make_move_iterator(fetched.processes.end()));
  return absl::OkStatus();
}

std::vector<std::byte> EncodeChanges(const ProcessChanges& changes) {
  size_t bytes = 0;
  for (const ProcessRecord& process : changes.changed) bytes += WireBytes(process);
  const bool all = changes.all || bytes > proto::CHANGES_BYTES_MAX ||
                   changes.changed.size() + changes.gone.size() > proto::CHANGES_MAX;
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<proto::ProcessChanges>();
  to.setTakenNs(changes.taken_ns);
  to.setAll(all);
  if (all) return proto::WriteMessage(message);
  auto changed = to.initChanged(static_cast<unsigned>(changes.changed.size()));
  for (unsigned i = 0; i < changed.size(); ++i) EncodeProcess(changes.changed[i], changed[i]);
  auto gone = to.initGone(static_cast<unsigned>(changes.gone.size()));
  for (unsigned i = 0; i < gone.size(); ++i) gone.set(i, changes.gone[i]);
  return proto::WriteMessage(message);
}

absl::StatusOr<ProcessChanges> DecodeChanges(proto::ProcessChanges::Reader from) {
  ProcessChanges changes;
  changes.taken_ns = from.getTakenNs();
  changes.all = from.getAll();
  if (from.getChanged().size() + from.getGone().size() > proto::CHANGES_MAX) {
    return absl::InvalidArgumentError("more news than one message may hold");
  }
  auto is_pid = [](int32_t pid) { return pid > 0 && pid < 1 << kGlobalPidShift; };
  for (proto::Process::Reader process : from.getChanged()) {
    changes.changed.push_back(DecodeProcess(process));
    if (!is_pid(process.getPid())) return absl::InvalidArgumentError("news of no process");
  }
  for (int32_t pid : from.getGone()) {
    changes.gone.push_back(pid);
    if (!is_pid(pid)) return absl::InvalidArgumentError("news of no process");
  }
  return changes;
}

std::vector<std::byte> EncodeClusterReply(const ClusterSnapshot& cluster) {
  capnp::MallocMessageBuilder message;
  proto::ClusterSnapshot::Builder to = message.initRoot<proto::AdminReply>().initSnapshot();
  to.setSelf(cluster.self);
  auto nodes = to.initNodes(static_cast<unsigned>(cluster.nodes.size()));
  for (unsigned i = 0; i < nodes.size(); ++i) {
    const NodeView& view = cluster.nodes[i];
    EncodeNode(view, nodes[i].initNode());
    if (view.snapshot == nullptr) continue;
    const std::vector<ProcessRecord>& from = view.snapshot->processes;
    auto processes = nodes[i].initProcesses(static_cast<unsigned>(from.size()));
    for (unsigned p = 0; p < processes.size(); ++p) EncodeProcess(from[p], processes[p]);
  }
  return proto::WriteMessage(message);
}

std::vector<std::byte> EncodeNodesReply(const ClusterSnapshot& cluster) {
  capnp::MallocMessageBuilder message;
  auto nodes =
      message.initRoot<proto::AdminReply>().initNodes(static_cast<unsigned>(cluster.nodes.size()));
  for (unsigned i = 0; i < nodes.size(); ++i) EncodeNode(cluster.nodes[i], nodes[i]);
  return proto::WriteMessage(message);
}

ClusterSnapshot DecodeCluster(proto::ClusterSnapshot::Reader from) {
  ClusterSnapshot cluster;
  cluster.self = from.getSelf();
  for (proto::NodeProcesses::Reader node : from.getNodes()) {
    cluster.nodes.push_back(DecodeNode(node.getNode(), node.getProcesses()));
  }
  return cluster;
}

std::vector<NodeSummary> DecodeNodes(capnp::List<proto::Node>::Reader from) {
  std::vector<NodeSummary> nodes;
  for (proto::Node::Reader node : from) {
    nodes.push_back({DecodeNode(node, {}), node.getProcessCount()});
  }
  return nodes;
}

size_t TextBytes(const ClusterSnapshot& cluster) {
  size_t bytes = 0;
  for (const NodeView& node : cluster.nodes) {
    if (node.snapshot != nullptr) bytes += TextBytes(*node.snapshot);
  }
  return bytes;
}

}  // namespace clustix::proc
