// SPDX-License-Identifier: Apache-2.0
//
// Life, ports and peers; kccm_commands.cc has messages.
#include "lib/msg/kccm_core.h"

#include <poll.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/uuid.h"
#include "lib/io/uring_command.h"
#include "lib/msg/callbacks.h"
#include "lib/session/wire.h"

namespace clustix::msg {
namespace {

constexpr uint32_t kPumpTag = UINT32_MAX;
// A port whose file was closed a moment ago is free again when the kernel has let go of the file.
constexpr io::TimeNs kBindAgainNs = 10'000'000;
constexpr int kBindAttempts = 200;

PeerState StateAfter(PeerEvent event) {
  switch (event) {
    case PeerEvent::kUp:
      return PeerState::kUp;
    case PeerEvent::kPathDown:
      return PeerState::kPathDown;
    case PeerEvent::kSuspect:
      return PeerState::kSuspect;
    case PeerEvent::kDead:
      return PeerState::kDead;
    case PeerEvent::kRebooted:
      return PeerState::kConnecting;  // up follows
  }
  return PeerState::kConnecting;
}

}  // namespace

KccmCore::KccmCore(io::DeviceIo& io, const MessengerConfig& config, KccmNetlink netlink,
                   KccmEvents events)
    : io_(io), netlink_(std::move(netlink)), events_(std::move(events)) {
  const KccmLane::Limits limits = {
      .messages = config.queue_messages != 0 ? config.queue_messages : KCCM_QUEUE_MESSAGES,
      .bytes = config.queue_bytes != 0 ? config.queue_bytes : KCCM_QUEUE_BYTES};
  for (const PeerConfig& peer_config : config.peers) {
    Peer& peer = peers_[peer_config.node];
    peer.config = peer_config;
    for (KccmLane& lane : peer.lanes) lane.Configure(this, limits);
    if (peer_config.node < peer_of_node_.size()) peer_of_node_[peer_config.node] = &peer;
  }
}

KccmCore::~KccmCore() { assert(attached_ == 0); }

// --- life

absl::Status KccmCore::Start(const MessengerConfig& config,
                             std::vector<std::unique_ptr<KccmPort>> ports,
                             std::function<void()> closed) {
  ASSIGN_OR_RETURN(sender_fd_, OpenKccm());
  const int features =
      io::RunDeviceCommand(sender_fd_.get(), KCCM_URING_FEATURES, KccmArguments(nullptr, 0));
  sends_many_ = features > 0 && (features & KCCM_URING_F_SEND_MANY) != 0;
  RETURN_IF_ERROR(TakeOverNode(config));
  RETURN_IF_ERROR(netlink_.SetNode(config));
  if (absl::Status made = MakeNode(config); !made.ok()) {
    if (absl::Status ended = netlink_.DeleteNode(); !ended.ok()) {
      base::Log(base::LogLevel::kError, "msg", "the node of kccm cannot be ended",
                {{"error", ended}});
    }
    return made;
  }
  closed_ = std::move(closed);
  self_ = shared_from_this();
  sender_.on_command = [this](uint32_t tag, int result) { OnCommand(tag, result); };
  sender_.on_events = [this](uint32_t) { RetryLanes(); };
  listener_.on_events = [this](uint32_t) { OnPeerEvents(); };
  Attach(sender_, sender_fd_.get());
  io_.Watch(sender_.id, POLLOUT);
  Attach(listener_, events_.fd());
  io_.Watch(listener_.id, POLLIN);
  for (std::unique_ptr<KccmPort>& port : ports) AddPort(std::move(port));
  return absl::OkStatus();
}

absl::Status KccmCore::TakeOverNode(const MessengerConfig& config) {
  const absl::StatusOr<KccmNode> found = netlink_.Node();
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  RETURN_IF_ERROR(found.status());
  if (found->cluster != config.cluster || found->node != config.node) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this network namespace is node ", found->node, " of the cluster ",
        base::FormatUuid(found->cluster),
        " in the module kccm already (its clustixd ends it; rmmod kccm does if none runs)"));
  }
  base::Log(base::LogLevel::kWarning, "msg",
            "ends a node of kccm that another process has left behind", {{"node", found->node}});
  const absl::Status ended = netlink_.DeleteNode();
  return absl::IsNotFound(ended) ? absl::OkStatus() : ended;
}

absl::Status KccmCore::MakeNode(const MessengerConfig& config) {
  ASSIGN_OR_RETURN(node_, netlink_.Node());
  for (const PeerConfig& peer : config.peers) {
    RETURN_IF_ERROR(netlink_.AddPeer(peer.node, peer.address));
  }
  return absl::OkStatus();
}

void KccmCore::Attach(Device& device, int fd) {
  device.on_detached = [this] { DeviceDetached(); };
  device.id = io_.Attach(fd, &device);
  ++attached_;
}

void KccmCore::DeviceDetached() {
  --attached_;
  ReportIfClosed();
}

// This object may go with the task, not before.
void KccmCore::ReportIfClosed() {
  if (!stopped_ || attached_ > 0 || self_ == nullptr) return;
  io_.loop().Post([self = std::move(self_), closed = std::exchange(closed_, nullptr)] {
    if (closed) closed();
  });
}

// (1) No callback comes any more but those of (4). (2) The node ends: nothing is sent after this,
//     and the kernel settles what it has. (3) Commands that are queued and have not reached the
//     kernel yet find neither a node nor a payload, which is the caller's memory if it was sent in
//     place.
// (4) Everybody who waits is told. (5) Completions still come in; the last one lets go of us.
void KccmCore::Stop() {
  if (stopped_) return;
  stopped_ = true;
  handlers_ = {};
  on_event_.clear();
  on_writable_.clear();
  for (io::TimerId* timer : {&retry_timer_, &deadline_timer_}) {
    if (*timer != 0) io_.loop().Cancel(std::exchange(*timer, 0));
  }

  if (const absl::Status ended = netlink_.DeleteNode(); !ended.ok() && !absl::IsNotFound(ended)) {
    base::Log(base::LogLevel::kError, "msg", "the node of kccm cannot be ended",
              {{"error", ended}});
  }
  for (Command& command : commands_) {
    command.call.request.node = 0;
    command.call.request.length = 0;
    if (command.batch != nullptr) command.batch->arguments().count = 0;
  }
  // A callback can add none: there are no peers any more.
  for (Command& command : commands_) {
    if (command.kind != Kind::kSend && command.kind != Kind::kCall) continue;
    const Outcome outcome = command.submitted ? Outcome::kUnknown : Outcome::kNotDelivered;
    const bool in_kernel = command.submitted;
    command.given_up = true;
    if (command.sent) std::exchange(command.sent, nullptr)(outcome);
    if (command.answered) {
      std::exchange(command.answered, nullptr)({.outcome = outcome, .status = 0, .payload = {}});
    }
    if (!in_kernel) FreeCommand(command);
  }
  io_.Detach(sender_.id);
  io_.Detach(listener_.id);
  for (const auto& [id, port] : ports_) port->Close();
}

// --- ports

void KccmCore::AddPort(std::unique_ptr<KccmPort> port) {
  const uint32_t id = next_port_++;
  ++attached_;
  port->Start(io_, this, id, kPumpTag);
  ports_.emplace(id, std::move(port));
}

KccmPort* KccmCore::PortOf(Port number) {
  for (const auto& [id, port] : ports_) {
    if (port->port() == number) return port.get();
  }
  return nullptr;
}

void KccmCore::Handle(Port number, Messenger::Handler handler) {
  if (stopped_) return;
  const bool serve = handler != nullptr;
  handlers_.Set(number, std::move(handler));
  SweepHandlers();
  KccmPort* port = PortOf(number);
  if (!serve) {
    if (port != nullptr) port->Close();
  } else if (port == nullptr) {
    BindAgain(number, kBindAttempts);
  } else if (!port->closing()) {
    // What has come before the handler waits. Not from within this call.
    io_.loop().AtEndOfTurn([self = shared_from_this(), id = port->id()] {
      const auto found = self->ports_.find(id);
      if (found != self->ports_.end()) found->second->Drain();
    });
  }  // else: when it has closed
}

// Handlers that were replaced may be running.
void KccmCore::SweepHandlers() {
  if (std::exchange(sweep_pending_, true)) return;
  io_.loop().AtEndOfTurn([self = shared_from_this()] {
    self->sweep_pending_ = false;
    self->handlers_.Sweep();
  });
}

void KccmCore::BindAgain(Port number, int attempts) {
  if (stopped_ || handlers_.Find(number) == nullptr || PortOf(number) != nullptr) return;
  absl::StatusOr<std::unique_ptr<KccmPort>> port = KccmPort::Bind(number);
  if (port.ok()) {
    AddPort(*std::move(port));
  } else if (attempts > 0) {
    io_.loop().RunAt(io_.loop().Now() + kBindAgainNs, [weak = weak_from_this(), number, attempts] {
      if (const auto self = weak.lock()) self->BindAgain(number, attempts - 1);
    });
  } else {
    base::Log(base::LogLevel::kError, "msg", "a port cannot be served",
              {{"port", number}, {"error", port.status()}});
  }
}

void KccmCore::OnPortClosed(KccmPort& port) {
  const Port number = port.port();
  ports_.erase(port.id());  // and with it the file
  --attached_;
  ReportIfClosed();
  BindAgain(number, kBindAttempts);  // if somebody wants it again
}

bool KccmCore::OnMessage(KccmPort& port, const kccm_uring_descriptor& message, Bytes payload) {
  const Messenger::Handler* handler = handlers_.Find(port.port());
  if (handler == nullptr || stopped_) return false;
  const bool call = (message.flags & KCCM_MESSAGE_WANTS_REPLY) != 0;
  const auto lane = static_cast<Lane>(message.lane);
  const uint64_t request = call ? open_calls_.Put({.binding = port.id(),
                                                   .number = static_cast<uint32_t>(message.request),
                                                   .from = message.from,
                                                   .lane = lane})
                                : 0;
  (*handler)({.from = message.from,
              .port = port.port(),
              .lane = lane,
              .epoch = message.epoch,
              .wants_reply = call,
              .request = request,
              .payload = payload});
  return true;
}

// --- peers

KccmCore::Peer* KccmCore::Find(NodeId node) {
  return stopped_ || node >= peer_of_node_.size() ? nullptr : peer_of_node_[node];
}

void KccmCore::OnPeerEvents() {
  if (stopped_) return;
  absl::StatusOr<KccmEvents::Batch> batch = events_.Read();
  if (!batch.ok()) {
    base::Log(base::LogLevel::kError, "msg", "events of kccm cannot be read",
              {{"error", batch.status()}});
    batch = KccmEvents::Batch{.events = {}, .lost = true};
  }
  for (const KccmEvent& event : batch->events) {
    Peer* peer = Find(event.node);
    if (peer == nullptr) continue;
    Happened(*peer, event.event,
             {.state = StateAfter(event.event), .incarnation = event.incarnation});
  }
  if (batch->lost) Resynchronize();
}

void KccmCore::Happened(Peer& peer, PeerEvent event, const KccmPeerNews& news) {
  peer.news = news;
  LogEvent(peer, event);
  CallAll(on_event_, peer.config.node, event);
}

// What happens between the reading of what was left and this may be told twice.
void KccmCore::Resynchronize() {
  const absl::StatusOr<std::vector<KccmPeer>> peers = netlink_.Peers();
  if (!peers.ok()) {
    base::Log(base::LogLevel::kError, "msg", "events of kccm were lost, and its peers are unknown",
              {{"error", peers.status()}});
    return;
  }
  for (const KccmPeer& now : *peers) {
    Peer* peer = Find(now.node);
    if (peer == nullptr) continue;
    const KccmPeerNews news = {.state = now.state, .incarnation = now.incarnation};
    for (const PeerEvent event : EventsBetween(peer->news, news)) Happened(*peer, event, news);
  }
}

// A path that breaks and heals within the tolerance is no news: it may do so many times a second.
void KccmCore::LogEvent(Peer& peer, PeerEvent event) {
  base::LogLevel level = base::LogLevel::kWarning;
  if (event == PeerEvent::kPathDown || (event == PeerEvent::kUp && peer.logged_up)) {
    level = base::LogLevel::kDebug;
  } else {
    peer.logged_up = event == PeerEvent::kUp;
    if (peer.logged_up) level = base::LogLevel::kInfo;
  }
  base::Log(level, "msg", "peer changed",
            {{"peer", peer.config.node}, {"event", PeerEventName(event)}});
}

std::vector<PeerInfo> KccmCore::Peers() const {
  std::vector<PeerInfo> infos;
  const absl::StatusOr<std::vector<KccmPeer>> peers = netlink_.Peers();
  if (!peers.ok()) {
    base::Log(base::LogLevel::kError, "msg", "the peers of kccm cannot be read",
              {{"error", peers.status()}});
    return infos;
  }
  for (const KccmPeer& peer : *peers) {
    const auto count = [&](std::string_view name) { return CounterNamed(peer.counters, name); };
    infos.push_back({.node = peer.node,
                     .address = peer.address,
                     .state = peer.state,
                     .incarnation = peer.incarnation,
                     .queued_messages = count("queued_messages"),
                     .queue_memory_bytes = count("queue_memory_bytes"),
                     .messages_sent = count("messages_sent"),
                     .messages_received = count("messages_received"),
                     .bytes_sent = count("bytes_sent"),
                     .bytes_received = count("bytes_received"),
                     .resent = count("resent"),
                     .duplicates = count("duplicates"),
                     .connects = count("connects"),
                     .disconnects = count("disconnects"),
                     .dials_failed = count("dials_failed"),
                     .reboots = count("reboots"),
                     .outcomes_unknown = count("outcomes_unknown"),
                     .calls_timed_out = count("calls_timed_out")});
  }
  return infos;
}

std::vector<MessengerCounter> KccmCore::Counters() const {
  std::vector<MessengerCounter> counters;
  if (absl::StatusOr<KccmNode> node = netlink_.Node(); node.ok()) {
    counters = std::move(node->counters);
  } else {
    base::Log(base::LogLevel::kError, "msg", "the counters of kccm cannot be read",
              {{"error", node.status()}});
  }
  counters.push_back({"lost_sends", lost_sends_});
  counters.push_back({"lost_answers", lost_answers_});
  return counters;
}

}  // namespace clustix::msg
