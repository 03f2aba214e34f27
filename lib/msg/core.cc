// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/core.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/blake2s.h"
#include "lib/base/crc32c.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"
#include "lib/msg/callbacks.h"
#include "lib/msg/link.h"

namespace clustix::msg {

Outcome OutcomeOfError(int error) {
  switch (-error) {
    case 0:
      return Outcome::kOk;
    case EAGAIN:
    case ENOBUFS:
      return Outcome::kBusy;
    case EMSGSIZE:
      return Outcome::kTooLarge;
    case ENOMEM:
      return Outcome::kOutOfMemory;
    case ETIMEDOUT:
      return Outcome::kDeadline;
    case EREMOTEIO:
      return Outcome::kUnknown;
    case ENOTCONN:
      return Outcome::kNoSuchPeer;
    default:
      return Outcome::kNotDelivered;
  }
}

namespace {

kccm_message MakeMessage(uint8_t type, Lane lane, Port port, uint64_t request, Bytes payload) {
  return {.type = type,
          .lane = static_cast<uint8_t>(lane),
          .port = port,
          .epoch = 0,
          .request = request,
          .payload = payload.data(),
          .length = static_cast<uint32_t>(payload.size())};
}

// From now on, not from when the turn began, which a caller may have made a long one. The coarse
// clock is good enough for all but short ones. Far beyond the end of time is no deadline, as 0 is.
io::TimeNs DeadlineAfter(const io::Clock& clock, uint64_t timeout_ms) {
  constexpr uint64_t kShortMs = 10 * io::Clock::kCoarseNs / kNsPerMs;
  if (timeout_ms == 0) return io::kNever;
  const io::TimeNs now = timeout_ms < kShortMs ? clock.Now() : clock.CoarseNow();
  return timeout_ms < (io::kNever - now) / kNsPerMs ? now + timeout_ms * kNsPerMs : io::kNever;
}

}  // namespace

// --- what the session does through us

const kccm_ops& Core::Ops() {
  static const kccm_ops ops = {
      .alloc = [](void*, size_t bytes) -> void* { return ::operator new(bytes, std::nothrow); },
      .free = [](void*, void* memory, size_t) { ::operator delete(memory); },
      .random = [](void* ctx, void* to, size_t bytes) { Of(ctx).random_(to, bytes); },
      .crc32c = base::BestCrc32c(),
      .mac = [](void*, const uint8_t key[KCCM_KEY_BYTES], const void* data, size_t bytes,
                uint8_t mac[KCCM_PROOF_BYTES]) -> int {
        auto digest = base::Blake2sMac(
            std::span<const uint8_t, KCCM_KEY_BYTES>(key, KCCM_KEY_BYTES), data, bytes);
        if (!digest.ok()) return -EIO;
        std::copy(digest->begin(), digest->end(), mac);
        return 0;
      },
      .dial =
          [](void* ctx, kccm_peer* peer, unsigned lane, bool knock) {
            Core& core = Of(ctx);
            const std::string& address = PeerOf(peer).config.address;
            if (Link::Dial(core.shared_from_this(), peer, lane, knock, address).ok()) return;
            // Not from inside this callback.
            core.loop().Post([self = core.shared_from_this(), peer, lane, knock] {
              kccm_dial_failed(peer, lane, knock, self->Now());
              self->Touch();
            });
          },
      .close = [](void*,
                  kccm_conn* conn) { static_cast<Link*>(kccm_conn_user(conn))->CloseSoon(); },
      .output_ready =
          [](void*, kccm_conn* conn) { static_cast<Link*>(kccm_conn_user(conn))->OutputReady(); },
      .deliver = [](void* ctx, kccm_peer* peer, const kccm_message* message) -> int {
        return Of(ctx).Deliver(PeerOf(peer), *message);
      },
      .sent = [](void* ctx, kccm_peer*, uint64_t cookie,
                 int error) { Of(ctx).Sent(cookie, OutcomeOfError(error)); },
      .released = [](void* ctx, uint64_t cookie) { Of(ctx).Released(cookie); },
      .called =
          [](void* ctx, kccm_peer*, uint64_t cookie, int error, const kccm_message* reply) {
            Reply answer{.outcome = OutcomeOfError(error), .status = 0, .payload = {}};
            if (error == 0) {
              answer.status = reply->port;
              answer.payload = {static_cast<const std::byte*>(reply->payload), reply->length};
              if (reply->port == kStatusNoSuchPort) {
                answer.outcome = Outcome::kNoSuchPort;
              } else if (reply->port != 0) {
                answer.outcome = Outcome::kHandlerError;
              }
            }
            Of(ctx).called_.Take(cookie)(answer);
          },
      .writable =
          [](void* ctx, kccm_peer* peer, unsigned lane) {
            Core& core = Of(ctx);
            core.FlushAnswers(PeerOf(peer), static_cast<uint8_t>(lane));
            CallAll(core.on_writable_, kccm_peer_node(peer), static_cast<Lane>(lane));
          },
      .event = [](void* ctx, kccm_peer* peer,
                  kccm_event event) { Of(ctx).Happened(PeerOf(peer), event); },
      .refused = [](void* ctx, kccm_conn* conn, uint16_t node, kccm_refusal reason,
                    bool by_peer) { Of(ctx).Refused(conn, node, reason, by_peer); },
  };
  return ops;
}

void Core::Refused(kccm_conn* conn, uint16_t node, kccm_refusal reason, bool by_peer) {
  const auto held_back =
      log_limiter_.Admit(absl::StrCat(node, "/", static_cast<int>(reason), "/", by_peer), Now());
  if (!held_back) return;
  base::Log(base::LogLevel::kWarning, "msg",
            by_peer ? "connection refused by the other side" : "connection refused",
            {{"reason", kccm_refusal_name(reason)},
             {"node", node},
             {"address", static_cast<Link*>(kccm_conn_user(conn))->address()},
             {"not_logged_before", *held_back}});
}

// A path that breaks and heals within the tolerance is no news: it may do so many times a second.
void Core::LogEvent(Peer& peer, kccm_event event) {
  base::LogLevel level = base::LogLevel::kWarning;
  if (event == KCCM_EVENT_PATH_DOWN || (event == KCCM_EVENT_UP && peer.logged_up)) {
    level = base::LogLevel::kDebug;
  } else {
    peer.logged_up = event == KCCM_EVENT_UP;
    if (peer.logged_up) level = base::LogLevel::kInfo;
  }
  base::Log(level, "msg", "peer changed",
            {{"peer", peer.config.node}, {"event", kccm_event_name(event)}});
}

void Core::Happened(Peer& peer, kccm_event event) {
  LogEvent(peer, event);
  if (event == KCCM_EVENT_REBOOTED) {
    // Its calls died with it, and grant nothing to its successor.
    for (LaneState& lane : peer.lanes) {
      lane.open_calls.Clear();
      waiting_answers_ -= lane.waiting.size();
      lane.waiting.clear();
    }
  }
  CallAll(on_event_, peer.config.node, static_cast<PeerEvent>(event));
}

int Core::Deliver(Peer& peer, const kccm_message& message) {
  const bool call = message.type == KCCM_FRAME_REQUEST;
  const auto lane = static_cast<Lane>(message.lane);
  const uint64_t number =
      call ? peer.lanes[message.lane].open_calls.Put({message.request, message.length, false}) : 0;
  if (const Messenger::Handler* handler = handlers_.Find(message.port)) {
    (*handler)({.from = peer.config.node,
                .port = message.port,
                .lane = lane,
                .epoch = message.epoch,
                .wants_reply = call,
                .request = number,
                .payload = {static_cast<const std::byte*>(message.payload), message.length}});
  } else {
    ++no_such_port_;
    if (call) PutAnswer(peer.config.node, lane, number, kStatusNoSuchPort, {});
  }
  if (!call) kccm_peer_consume(peer.session, message.lane, 1, message.length, Now());
  return 0;
}

// --- answers

// Queues an answer, forgets its call and gives its credit back to the caller; -EAGAIN: it has to
// wait for room, and keeps its call open.
int Core::PostAnswer(Peer& peer, uint8_t lane, uint64_t call, uint16_t status, Bytes payload) {
  Slots<OpenCall>& open_calls = peer.lanes[lane].open_calls;
  const kccm_message message = MakeMessage(KCCM_FRAME_REPLY, static_cast<Lane>(lane), status,
                                           open_calls.Find(call)->request, payload);
  const int error = kccm_peer_reply(peer.session, &message, Now());
  if (error == -EAGAIN || error == -ENOMEM) return -EAGAIN;
  kccm_peer_consume(peer.session, lane, 1, open_calls.Take(call).bytes, Now());
  return error;
}

void Core::FlushAnswers(Peer& peer, uint8_t lane) {
  std::deque<WaitingAnswer>& waiting = peer.lanes[lane].waiting;
  while (!waiting.empty()) {
    const WaitingAnswer& first = waiting.front();
    if (PostAnswer(peer, lane, first.call, first.status, first.payload) == -EAGAIN) return;
    waiting.pop_front();
    waiting_answers_--;
  }
}

// Whenever there may be room, not only when the queue is writable again: what the peer sends next
// may wait for the credit that one answer gives back.
void Core::FlushAllAnswers() {
  if (waiting_answers_ == 0) return;
  for (auto& [node, peer] : peers_) {
    for (uint8_t lane = 0; lane < KCCM_LANES; lane++) FlushAnswers(peer, lane);
  }
}

Outcome Core::Answer(NodeId to, Lane lane, uint64_t request, uint16_t status, Bytes payload) {
  if (status == kStatusNoSuchPort) return Outcome::kHandlerError;
  return PutAnswer(to, lane, request, status, payload);
}

Outcome Core::PutAnswer(NodeId to, Lane lane, uint64_t call, uint16_t status, Bytes payload) {
  Peer* peer = Find(to);
  const auto index = static_cast<uint8_t>(lane);
  if (peer == nullptr) return Outcome::kNoSuchPeer;
  if (payload.size() > KCCM_PAYLOAD_MAX) return Outcome::kTooLarge;
  LaneState& state = peer->lanes[index];
  OpenCall* open = state.open_calls.Find(call);
  if (open == nullptr || open->answered) return Outcome::kNotDelivered;
  open->answered = true;

  const int error =
      state.waiting.empty() ? PostAnswer(*peer, index, call, status, payload) : -EAGAIN;
  if (error == -EAGAIN) {
    state.waiting.push_back({call, status, {payload.begin(), payload.end()}});
    waiting_answers_++;
    return Outcome::kOk;
  }
  Touch();
  return OutcomeOfError(error);
}

// --- life

Core::Core(io::Io& io, MessengerConfig config, RandomFn random, std::function<void()> closed)
    : io_(io), config_(std::move(config)), random_(std::move(random)), closed_(std::move(closed)) {}

Core::~Core() {
  assert(links_.empty());
  if (endpoint_ != nullptr) kccm_endpoint_destroy(endpoint_);
}

absl::Status Core::Start() {
  kccm_config config = {};
  std::copy(config_.cluster.begin(), config_.cluster.end(), config.cluster);
  std::copy(config_.key.begin(), config_.key.end(), config.key);
  config.node = config_.node;
  config.incarnation = config_.incarnation;
  config.tolerance_ms = config_.tolerance_ms;
  config.window_messages = config_.window_messages;
  config.window_bytes = config_.window_bytes;
  config.queue_messages = config_.queue_messages;
  config.queue_bytes = config_.queue_bytes;
  config.payload_crc = config_.payload_crc;
  int error = kccm_endpoint_create(&config, &Ops(), this, Now(), &endpoint_);
  if (error != 0) return base::ErrnoStatus(-error, "messaging configuration");

  for (const PeerConfig& peer_config : config_.peers) {
    Peer& peer = peers_[peer_config.node];
    peer.config = peer_config;
    error = kccm_peer_add(endpoint_, peer_config.node, &peer, Now(), &peer.session);
    if (error != 0) {
      peers_.erase(peer_config.node);
      return base::ErrnoStatus(-error, absl::StrCat("peer ", peer_config.node));
    }
    peer_of_node_[peer_config.node] = &peer;
  }
  auto listener = io_.Listen(config_.listen_address, StreamOptions(), this);
  if (!listener.ok()) return listener.status();
  listener_ = *listener;
  Touch();
  return absl::OkStatus();
}

void Core::Stop() {
  if (stopped_) return;
  stopped_ = true;
  if (timer_ != 0) loop().Cancel(std::exchange(timer_, 0));
  if (listener_ != 0) io_.CloseListener(listener_);
  handlers_ = {};
  on_event_.clear();
  on_writable_.clear();
  if (endpoint_ != nullptr) {
    // Unknown first, freed then: a callback may send to any peer, and this one may be gone.
    for (auto& [node, peer] : peers_) {
      kccm_peer_remove(std::exchange(peer.session, nullptr), Now());
    }
  }
  for (Link* link : links_) link->CloseNow();
  ReportIfClosed();
}

// Not from inside a callback of the last stream, which is not gone before that returns.
void Core::ReportIfClosed() {
  if (stopped_ && links_.empty() && closed_) loop().Post(std::exchange(closed_, nullptr));
}

io::StreamOptions Core::StreamOptions() const {
  const uint32_t tolerance_ms = config_.tolerance_ms ? config_.tolerance_ms : KCCM_TOLERANCE_MS;
  return {.no_delay = true,
          .user_timeout_ms = tolerance_ms * KCCM_DEAD_FACTOR,
          .congestion = config_.congestion};
}

io::StreamHandler* Core::OnAccept(io::StreamId stream, const std::string& peer_address) {
  return stopped_ ? nullptr : Link::Accept(shared_from_this(), stream, peer_address);
}

void Core::Remove(Link* link) {
  std::erase(links_, link);
  std::erase(dirty_, link);
  std::erase(dirty_bulk_, link);
  ReportIfClosed();
}

void Core::MarkDirty(Link* link) {
  (link->bulk() ? dirty_bulk_ : dirty_).push_back(link);
  Touch();
}

void Core::BeginTurn() {
  turn_pending_ = true;
  now_ = loop().Now();
  loop().AtEndOfTurn([self = shared_from_this()] { self->EndTurn(); });
}

void Core::EndTurn() {
  handlers_.Sweep();
  if (!stopped_) FlushAllAnswers();
  FlushLinks();
  turn_pending_ = false;
  if (!stopped_) Rearm();
}

// Writing may make more links dirty, never delete one: streams close in a later turn.
void Core::FlushLinks() {
  while (!dirty_.empty() || !dirty_bulk_.empty()) {
    std::vector<Link*>& first = dirty_.empty() ? dirty_bulk_ : dirty_;
    Link* link = first.back();
    first.pop_back();
    link->Flush();
  }
}

void Core::Rearm() {
  const io::TimeNs due = kccm_next_tick(endpoint_);
  if (due == timer_at_) return;
  if (timer_ != 0) loop().Cancel(std::exchange(timer_, 0));
  timer_at_ = due;
  if (due == io::kNever) return;
  timer_ = loop().RunAt(due, [this] { Tick(); });
}

void Core::Tick() {
  timer_ = 0;
  timer_at_ = io::kNever;
  Touch();
  now_ = loop().Now();  // the turn may have begun before the tick was due
  kccm_tick(endpoint_, now_);
}

// --- the messenger's functions

Core::Peer* Core::Find(NodeId node) {
  Peer* peer = node < peer_of_node_.size() ? peer_of_node_[node] : nullptr;
  return peer == nullptr || peer->session == nullptr ? nullptr : peer;
}

Outcome Core::Send(NodeId to, Port port, Bytes payload, Lane lane, Messenger::SentCallback&& done) {
  Peer* peer = Find(to);
  if (peer == nullptr) return Outcome::kNoSuchPeer;
  if (payload.size() > KCCM_PAYLOAD_MAX) return Outcome::kTooLarge;
  const kccm_message message = MakeMessage(KCCM_FRAME_MESSAGE, lane, port, 0, payload);
  const uint64_t cookie = done ? sent_.Put({std::move(done), false, Outcome::kOk}) : 0;
  const int error = kccm_peer_send(peer->session, &message, cookie, Now());
  if (error != 0 && cookie != 0) sent_.Take(cookie);
  Touch();
  return OutcomeOfError(error);
}

Outcome Core::SendInPlace(NodeId to, Port port, Bytes payload, Lane lane,
                          Messenger::SentCallback&& done) {
  Peer* peer = Find(to);
  if (peer == nullptr) return Outcome::kNoSuchPeer;
  if (payload.size() > KCCM_PAYLOAD_MAX) return Outcome::kTooLarge;
  if (payload.empty()) return Send(to, port, payload, lane, std::move(done));
  const kccm_message message = MakeMessage(KCCM_FRAME_MESSAGE, lane, port, 0, payload);
  const uint64_t cookie = sent_.Put({std::move(done), true, Outcome::kOk});
  const int error = kccm_peer_send_in_place(peer->session, &message, cookie, Now());
  if (error != 0) sent_.Take(cookie);
  Touch();
  return OutcomeOfError(error);
}

void Core::Sent(uint64_t cookie, Outcome outcome) {
  PendingSend& send = *sent_.Find(cookie);
  send.outcome = outcome;
  if (!send.in_place) sent_.Take(cookie).done(outcome);
}

void Core::Released(uint64_t cookie) {
  const PendingSend send = sent_.Take(cookie);
  if (send.done) send.done(send.outcome);
}

Outcome Core::Call(NodeId to, Port port, Bytes payload, const CallOptions& options,
                   Messenger::ReplyCallback&& done, CallId* id) {
  Peer* peer = Find(to);
  if (peer == nullptr) return Outcome::kNoSuchPeer;
  if (payload.size() > KCCM_PAYLOAD_MAX) return Outcome::kTooLarge;
  kccm_message message = MakeMessage(KCCM_FRAME_REQUEST, options.lane, port, 0, payload);
  message.epoch = options.epoch;
  const io::TimeNs deadline = DeadlineAfter(loop(), options.timeout_ms);
  const uint64_t cookie = called_.Put(std::move(done));
  uint64_t request = 0;
  const int error = kccm_peer_call(peer->session, &message, cookie, deadline, Now(), &request);
  if (error != 0) called_.Take(cookie);
  if (error == 0 && id != nullptr) *id = {.node = to, .request = request};
  Touch();
  return OutcomeOfError(error);
}

bool Core::Cancel(const CallId& id) {
  Peer* peer = Find(id.node);
  uint64_t cookie = 0;
  if (peer == nullptr || kccm_peer_cancel(peer->session, id.request, &cookie) != 0) return false;
  called_.Take(cookie);
  return true;
}

void Core::Handle(Port port, Messenger::Handler handler) {
  handlers_.Set(port, std::move(handler));
  Touch();
}

std::vector<PeerInfo> Core::Peers() const {
  std::vector<PeerInfo> infos;
  for (const auto& [node, peer] : peers_) {
    if (peer.session == nullptr) continue;
    const kccm_peer_counters& stats = *kccm_peer_stats(peer.session);
    PeerInfo info = {};
    info.node = node;
    info.address = peer.config.address;
    info.state = static_cast<PeerState>(kccm_peer_state(peer.session));
    info.incarnation = kccm_peer_incarnation(peer.session);
    kccm_peer_usage(peer.session, &info.queued_messages, &info.queue_memory_bytes);
    for (const LaneState& lane : peer.lanes) {
      info.queued_messages += lane.waiting.size();
      for (const WaitingAnswer& answer : lane.waiting)
        info.queue_memory_bytes += answer.payload.size();
    }
    info.messages_sent = stats.messages_sent;
    info.messages_received = stats.messages_received;
    info.bytes_sent = stats.bytes_sent;
    info.bytes_received = stats.bytes_received;
    info.resent = stats.resent;
    info.duplicates = stats.duplicates;
    info.connects = stats.connects;
    info.disconnects = stats.disconnects;
    info.dials_failed = stats.dials_failed;
    info.reboots = stats.reboots;
    info.outcomes_unknown = stats.outcomes_unknown;
    info.calls_timed_out = stats.calls_timed_out;
    infos.push_back(std::move(info));
  }
  return infos;
}

std::vector<MessengerCounter> Core::Counters() const {
  std::vector<MessengerCounter> counters;
  const kccm_endpoint_counters& stats = *kccm_endpoint_stats(endpoint_);
  for (unsigned reason = 1; reason < KCCM_REFUSALS; ++reason) {
    counters.push_back(
        {absl::StrCat("refused.", kccm_refusal_name(reason)), stats.refused[reason]});
  }
  for (unsigned reason = 1; reason < KCCM_REFUSALS; ++reason) {
    counters.push_back(
        {absl::StrCat("refused_by_peer.", kccm_refusal_name(reason)), stats.refused_by[reason]});
  }
  counters.push_back({"bad_crc", stats.bad_crc});
  counters.push_back({"accepted", stats.accepted});
  counters.push_back({"out_of_memory", stats.out_of_memory});
  counters.push_back({"no_such_port", no_such_port_});
  return counters;
}

}  // namespace clustix::msg
