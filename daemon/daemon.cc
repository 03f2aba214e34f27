// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/cluster_key.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"
#include "lib/base/uuid.h"
#include "lib/msg/session_messenger.h"

namespace clustix::daemon {
namespace {

using base::Log;
using base::LogLevel;

// Two pools, because admin clients wait for peers: however many of them do, peers are answered.
constexpr size_t kProcWorkers = 4;
constexpr size_t kAdminWorkers = 4;
constexpr size_t kWorkQueueMax = 1024;

// Closing takes a turn or two of the loop. A kernel that does not let go of a socket must not keep
// a stopping daemon.
constexpr io::TimeNs kCloseNs = 2'000'000'000;

void Set(proto::Counter::Builder counter, const std::string& name, uint64_t value) {
  counter.setName(name.c_str());
  counter.setValue(value);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(DaemonOptions options) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options)));
  RETURN_IF_ERROR(daemon->StartParts());
  return daemon;
}

absl::Status Daemon::StartParts() {
  incarnation_ = base::RandomId();
  ASSIGN_OR_RETURN(runtime_, RuntimeDir::Acquire(options_.runtime_dir));
  RETURN_IF_ERROR(WatchSignals());  // before the first thread is made: they inherit the mask
  ASSIGN_OR_RETURN(reader_, procview::ProcReader::Open("/proc"));
  watch_ = std::make_unique<ProcWatch>(
      *reader_, WatchBy::kConnectorOrPolling,
      [this](const std::vector<NodeId>& who, const proc::ProcessChanges& changes) {
        server_->Tell(who, changes);  // which has asked for it
      });
  local_ = std::make_unique<LocalProc>(
      [this] {
        absl::StatusOr<proc::NodeSnapshot> snapshot = reader_->Collect(options_.self.id);
        if (snapshot.ok()) snapshot->watch = watch_->how();
        return snapshot;
      },
      [this](const proc::NodeSnapshot& known, std::vector<int32_t> again) {
        return reader_->ChangesSince(known, std::move(again), ProcWatch::kTouchedMax);
      });
  readers_ = std::make_unique<FileReaders>(FileReadersOptions{});
  proc_workers_ = std::make_unique<WorkerPool>(kProcWorkers, kWorkQueueMax);
  admin_workers_ = std::make_unique<WorkerPool>(kAdminWorkers, kWorkQueueMax);
  ASSIGN_OR_RETURN(io_, io::UringIo::Create());
  io_->WatchFd(signals_.get(), [this] {
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return;
    Log(LogLevel::kInfo, "daemon", "stopping", {{"signal", info.ssi_signo}});
    io_->Stop();
  });
  RETURN_IF_ERROR(StartMessenger());
  ASSIGN_OR_RETURN(
      admin_,
      AdminService::Start(*io_, runtime_->socket_path(), *service_, *admin_workers_,
                          {.fill_status = [this](proto::Status::Builder to) { FillStatus(to); },
                           .all_peers_up = [this] { return AllPeersUp(); },
                           .signal =
                               [this](int32_t gpid, int signal, uint64_t start_ticks, uid_t uid) {
                                 return service_->Signal(gpid, signal, start_ticks, uid);
                               }}));
  ++open_parts_;
  RETURN_IF_ERROR(StartExec());
  ASSIGN_OR_RETURN(objects_,
                   ObjectService::Start(*io_, *messenger_,
                                        {.socket_path = runtime_->sets_socket_path(),
                                         .nodes = nodes_->ids(),
                                         .life = base::RandomId(),
                                         .memory_bytes = options_.config.sets_memory_mib << 20,
                                         .processes = reader_.get()}));
  ++open_parts_;
  return MountProc();
}

absl::Status Daemon::StartExec() {
  ASSIGN_OR_RETURN(exec_, remote::ExecService::Start(*io_, *messenger_, *nodes_,
                                                     {.socket_path = runtime_->exec_socket_path(),
                                                      .daemon_socket = runtime_->socket_path(),
                                                      .allow = options_.config.exec_allow,
                                                      .session_socket = options_.session_socket,
                                                      .starter_path = runtime_->starter_path()}));
  ++open_parts_;
  return absl::OkStatus();
}

absl::Status Daemon::WatchSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  // SIGHUP and SIGQUIT: of a terminal that it was started on, by hand.
  for (const int ending : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) sigaddset(&signals, ending);
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) {
    return absl::InternalError("cannot block signals");
  }
  signal(SIGPIPE, SIG_IGN);  // a client that went away is an error of its write, no more
  signals_.Reset(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  return signals_.valid() ? absl::OkStatus() : base::ErrnoStatus(errno, "signalfd");
}

absl::Status Daemon::StartMessenger() {
  msg::MessengerConfig config{};
  config.node = options_.self.id;
  config.listen_address = options_.self.address;
  config.cluster = options_.config.cluster_uuid;
  absl::StatusOr<base::ClusterKey> key = base::LoadKey(options_.config.key_path);
  RETURN_IF_ERROR(key.status());
  config.key = *key;
  explicit_bzero(key->data(), key->size());
  config.incarnation = incarnation_;
  config.tolerance_ms = options_.config.tolerance_ms;
  std::vector<member::Node> nodes;
  for (const NodeConfig& node : options_.config.nodes) {
    nodes.push_back({node.id, node.name, node.address});
    if (node.id != options_.self.id) config.peers.push_back({node.id, node.address});
  }
  ASSIGN_OR_RETURN(member::NodeTable table,
                   member::NodeTable::Create(options_.self.id, std::move(nodes)));
  nodes_ = std::make_unique<member::NodeTable>(std::move(table));
  ++open_parts_;
  absl::StatusOr<RunningTransport> started =
      StartTransport(options_.transport, *io_, config, [this] { OnPartClosed(); });
  explicit_bzero(config.key.data(), config.key.size());  // it has its own
  RETURN_IF_ERROR(started.status());
  transport_ = started->transport;
  messenger_ = std::move(started->messenger);
  incarnation_ = started->incarnation;
  service_ = std::make_unique<ProcService>(io_->loop(), *messenger_, *nodes_, *local_, *reader_,
                                           *readers_, SnapshotOptions{});
  server_ = std::make_unique<ProcServer>(io_->loop(), *messenger_, *local_, *reader_, *watch_,
                                         *proc_workers_, *readers_);
  service_->OnAnswer([this] {
    if (admin_ != nullptr) admin_->OnPeerState();
  });
  messenger_->OnEvent([this](NodeId peer, PeerEvent event) { OnPeerEvent(peer, event); });
  return absl::OkStatus();
}

absl::Status Daemon::MountProc() {
  if (!options_.proc) return absl::OkStatus();
  RETURN_IF_ERROR(runtime_->MakeProc());
  if (options_.local_proc.empty()) RETURN_IF_ERROR(runtime_->MakeLocalProc());
  FuseView::Options fuse;
  fuse.allow_other = geteuid() == 0;
  fuse.local_proc = LocalProcDir();
  absl::StatusOr<std::unique_ptr<FuseView>> mounted =
      FuseView::Mount(service_.get(), runtime_->proc_path(), fuse);
  if (mounted.ok()) {
    fuse_ = *std::move(mounted);
    return absl::OkStatus();
  }
  if (options_.proc_optional) {
    mount_error_ = std::string(base::ToStd(mounted.status().message()));
    Log(LogLevel::kError, "daemon", "goes on without the cluster's /proc",
        {{"error", mounted.status()}});
    return absl::OkStatus();
  }
  return absl::Status(mounted.status().code(),
                      absl::StrCat(mounted.status().message(), " (--no-proc does without it)"));
}

void Daemon::OnPeerEvent(NodeId peer, PeerEvent event) {
  if (objects_ != nullptr) objects_->OnPeerEvent(peer, event);
  if (!nodes_->OnEvent(peer, event)) return;
  service_->OnPeerState(peer, nodes_->Find(peer)->state);
  if (admin_ != nullptr) admin_->OnPeerState();
}

bool Daemon::AllPeersUp() const {
  return service_->KnowsNewcomers() &&
         std::all_of(nodes_->entries().begin(), nodes_->entries().end(),
                     [](const member::NodeEntry& entry) {
                       return entry.self || entry.state == PeerState::kUp;
                     });
}

void Daemon::Run() {
  Log(LogLevel::kInfo, "daemon", "ready",
      {{"node", options_.self.id},
       {"name", options_.self.name},
       {"address", options_.self.address},
       {"cluster", options_.config.cluster_name},
       {"socket", runtime_->socket_path()},
       {"proc", fuse_ == nullptr ? "none" : runtime_->proc_path()}});
  Log(LogLevel::kInfo, "daemon", "transport",
      {{"name", transport_.name}, {"reason", transport_.reason}});
  sd_notify(0, "READY=1");
  io_->Run();
  sd_notify(0, "STOPPING=1");
}

// Every step makes sure that nothing that is still there calls what the step takes away.
Daemon::~Daemon() {
  // 1. No new questions of peers; whoever waits for an answer is let go.
  if (service_ != nullptr) service_->Stop();
  if (server_ != nullptr) server_->Stop();
  // 2. Nobody asks from outside any more.
  fuse_.reset();
  if (admin_ != nullptr) admin_->Stop([this] { OnPartClosed(); });
  if (exec_ != nullptr) exec_->Stop([this] { OnPartClosed(); });
  if (objects_ != nullptr) objects_->Stop([this] { OnPartClosed(); });
  // 3. Threads that work for others end; what they post to the loop from now on is harmless.
  if (admin_workers_ != nullptr) admin_workers_->Stop();
  if (proc_workers_ != nullptr) proc_workers_->Stop();
  if (readers_ != nullptr) readers_->Stop();
  if (local_ != nullptr) local_->Stop();
  if (watch_ != nullptr) watch_->Stop();
  // 4. Calls that are still open end, and connections are closed.
  messenger_.reset();
  if (io_ != nullptr) AwaitClosed();
  // 5. The rest has no life of its own, and goes in reverse order of making.
}

void Daemon::OnPartClosed() {
  if (--open_parts_ == 0) io_->Stop();
}

void Daemon::AwaitClosed() {
  io_->UnwatchFd(signals_.get());  // an impatient second signal must not cut this short
  if (open_parts_ == 0) return;
  io_->loop().RunAt(io_->loop().Now() + kCloseNs, [this] { io_->Stop(); });
  io_->Run();
  if (open_parts_ != 0) Log(LogLevel::kWarning, "daemon", "some connections do not close");
}

void Daemon::FillStatus(proto::Status::Builder status) const {
  auto uptime = std::chrono::steady_clock::now() - started_;
  status.setVersion(CLUSTIX_VERSION);
  status.setClusterName(options_.config.cluster_name.c_str());
  status.setClusterUuid(base::FormatUuid(options_.config.cluster_uuid).c_str());
  status.setNode(options_.self.id);
  status.setName(options_.self.name.c_str());
  status.setAddress(options_.self.address.c_str());
  status.setIncarnation(incarnation_);
  status.setPid(getpid());
  status.setUptimeMs(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(uptime).count()));
  if (const std::string why = WhyNoProc(); why.empty()) {
    status.setProcMount(runtime_->proc_path().c_str());
    status.setLocalProc(LocalProcDir().c_str());
  } else {
    status.setProcNote(why.c_str());
  }
  status.setProcWatch(watch_->how().c_str());
  status.setSetsEpoch(objects_->epoch());
  status.setSetsState(objects_->Explain().c_str());
  status.getTransport().setName(transport_.name.c_str());
  status.getTransport().setReason(transport_.reason.c_str());
  FillPeers(status);
  FillCounters(status);
}

std::string Daemon::LocalProcDir() const {
  return options_.local_proc.empty() ? runtime_->local_proc_path() : options_.local_proc;
}

std::string Daemon::WhyNoProc() const {
  if (fuse_ != nullptr) {
    return fuse_->IsMounted() ? "" : "it was unmounted (a restarted clustixd mounts it again)";
  }
  return mount_error_.empty() ? "this node does without it (proc = false, or --no-proc)"
                              : mount_error_;
}

void Daemon::FillPeers(proto::Status::Builder status) const {
  std::vector<PeerInfo> peers = messenger_->Peers();
  auto to = status.initPeers(static_cast<unsigned>(peers.size()));
  for (unsigned i = 0; i < to.size(); ++i) {
    const PeerInfo& peer = peers[i];
    const member::NodeEntry* entry = nodes_->Find(peer.node);
    to[i].setNode(peer.node);
    if (entry != nullptr) to[i].setName(entry->node.name.c_str());
    to[i].setAddress(peer.address.c_str());
    to[i].setState(PeerStateName(entry != nullptr ? entry->state : peer.state));
    to[i].setIncarnation(peer.incarnation);
    const std::pair<const char*, uint64_t> counters[] = {
        {"queued_messages", peer.queued_messages},
        {"queue_memory_bytes", peer.queue_memory_bytes},
        {"messages_sent", peer.messages_sent},
        {"messages_received", peer.messages_received},
        {"bytes_sent", peer.bytes_sent},
        {"bytes_received", peer.bytes_received},
        {"resent", peer.resent},
        {"duplicates", peer.duplicates},
        {"connects", peer.connects},
        {"disconnects", peer.disconnects},
        {"dials_failed", peer.dials_failed},
        {"reboots", peer.reboots},
        {"outcomes_unknown", peer.outcomes_unknown},
        {"calls_timed_out", peer.calls_timed_out},
    };
    auto counter = to[i].initCounters(static_cast<unsigned>(std::size(counters)));
    for (unsigned c = 0; c < counter.size(); ++c) {
      Set(counter[c], counters[c].first, counters[c].second);
    }
  }
}

void Daemon::FillCounters(proto::Status::Builder status) const {
  std::vector<MessengerCounter> counters = messenger_->Counters();
  counters.push_back({"proc_bad_requests", server_->bad_requests()});
  counters.push_back({"proc_bad_replies", service_->bad_replies()});
  counters.push_back({"proc_turned_away", server_->turned_away()});
  counters.push_back({"admin_bad_requests", admin_->bad_requests()});
  counters.push_back({"admin_turned_away", admin_->turned_away()});
  counters.push_back({"exec_bad_requests", exec_->bad_requests()});
  counters.push_back({"exec_turned_away", exec_->turned_away()});
  counters.push_back({"exec_tunnels", exec_->tunnels()});
  counters.push_back({"exec_waiting_bytes", exec_->waiting_bytes()});
  for (const auto& [name, value] : objects_->Counters()) counters.push_back({name, value});
  auto to = status.initCounters(static_cast<unsigned>(counters.size()));
  for (unsigned i = 0; i < to.size(); ++i) Set(to[i], counters[i].name, counters[i].value);
}

}  // namespace clustix::daemon
