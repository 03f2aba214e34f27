// SPDX-License-Identifier: Apache-2.0
//
// What a session messenger is made of: the session's endpoint, the callbacks through which it acts,
// and its time. Lives until the last connection has closed, which may be after the messenger.
// Belongs to the loop's thread.
#ifndef CLUSTIX_LIB_MSG_CORE_H_
#define CLUSTIX_LIB_MSG_CORE_H_

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clustix/messenger.h"
#include "lib/base/log_limiter.h"
#include "lib/io/io.h"
#include "lib/msg/handlers.h"
#include "lib/msg/session_messenger.h"
#include "lib/msg/slots.h"
#include "lib/session/session.h"

#define KCCM_WRITE_VECS 16

namespace clustix::msg {

class Link;

// A REPLY's status when the node has no handler for the port; handlers cannot answer it.
inline constexpr uint16_t kStatusNoSuchPort = 0xffff;

Outcome OutcomeOfError(int error);

class Core final : public std::enable_shared_from_this<Core>, public io::ListenHandler {
 public:
  Core(io::Io& io, MessengerConfig config, RandomFn random, std::function<void()> closed);
  ~Core() override;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  absl::Status Start();
  // Settles everything that is pending and closes every connection; `closed` reports the last.
  void Stop();

  // --- for Link
  void Add(Link* link) { links_.push_back(link); }
  void Remove(Link* link);
  void MarkDirty(Link* link);
  // Something happened: writes and the timer are looked after at the end of the turn.
  void Touch() {
    if (!turn_pending_) BeginTurn();
  }
  io::Io& io() { return io_; }
  io::Loop& loop() { return io_.loop(); }
  // When the turn began, for this messenger: what happens in one turn happens at one moment, and
  // the clock is read once.
  io::TimeNs Now() {
    Touch();
    return now_;
  }
  kccm_endpoint* endpoint() { return endpoint_; }
  const MessengerConfig& config() const { return config_; }
  io::StreamOptions StreamOptions() const;

  io::StreamHandler* OnAccept(io::StreamId stream, const std::string& peer_address) override;

  // --- for the messenger; as in clustix/messenger.h
  NodeId self() const { return config_.node; }
  std::string address() const { return io_.LocalAddress(listener_); }
  Outcome Send(NodeId to, Port port, Bytes payload, Lane lane, Messenger::SentCallback&& done);
  Outcome SendInPlace(NodeId to, Port port, Bytes payload, Lane lane,
                      Messenger::SentCallback&& done);
  Outcome Call(NodeId to, Port port, Bytes payload, const CallOptions& options,
               Messenger::ReplyCallback&& done, CallId* id);
  bool Cancel(const CallId& id);
  Outcome Answer(NodeId to, Lane lane, uint64_t request, uint16_t status, Bytes payload);
  void Handle(Port port, Messenger::Handler handler);
  void OnEvent(Messenger::EventCallback callback) { on_event_.push_back(std::move(callback)); }
  void OnWritable(Messenger::WritableCallback callback) {
    on_writable_.push_back(std::move(callback));
  }
  std::vector<PeerInfo> Peers() const;
  std::vector<MessengerCounter> Counters() const;

 private:
  // A call that was delivered and is not answered: it holds its credit, so that the calls a peer
  // can have open here are bounded by the window.
  struct OpenCall {
    uint64_t request;  // as the caller names it
    uint32_t bytes;
    bool answered;  // its answer waits
  };
  // An answer that found the queue full.
  struct WaitingAnswer {
    uint64_t call;
    uint16_t status;
    std::vector<std::byte> payload;
  };
  // `open_calls` goes by this node's own numbers, Incoming::request: a restarted caller starts
  // again with the request ids of its predecessor, whose handlers may still be about to answer.
  struct LaneState {
    Slots<OpenCall> open_calls;
    std::deque<WaitingAnswer> waiting;
  };
  struct Peer {
    PeerConfig config;
    kccm_peer* session = nullptr;
    std::array<LaneState, KCCM_LANES> lanes;
    bool logged_up = false;
  };
  Peer* Find(NodeId node);
  int Deliver(Peer& peer, const kccm_message& message);
  Outcome PutAnswer(NodeId to, Lane lane, uint64_t call, uint16_t status, Bytes payload);
  int PostAnswer(Peer& peer, uint8_t lane, uint64_t call, uint16_t status, Bytes payload);
  void FlushAnswers(Peer& peer, uint8_t lane);
  void LogEvent(Peer& peer, kccm_event event);
  void FlushAllAnswers();
  void Happened(Peer& peer, kccm_event event);
  void Refused(kccm_conn* conn, uint16_t node, kccm_refusal reason, bool by_peer);
  void BeginTurn();
  void EndTurn();
  void FlushLinks();
  void Rearm();
  void Tick();
  void ReportIfClosed();

  static const kccm_ops& Ops();
  static Core& Of(void* ctx) { return *static_cast<Core*>(ctx); }
  static Peer& PeerOf(kccm_peer* peer) { return *static_cast<Peer*>(kccm_peer_user(peer)); }

  io::Io& io_;
  const MessengerConfig config_;
  const RandomFn random_;
  std::function<void()> closed_;  // empty: nobody asked, or reported
  kccm_endpoint* endpoint_ = nullptr;
  io::ListenerId listener_ = 0;
  bool stopped_ = false;
  std::map<NodeId, Peer> peers_;  // nodes never move: kccm_peer_user() points at them
  std::array<Peer*, KCCM_NODE_MAX + 1> peer_of_node_ = {};
  std::vector<Link*> links_;  // in the order of their making, so that Stop() is reproducible
  // Links that have something to write; those of the bulk lane come last.
  std::vector<Link*> dirty_, dirty_bulk_;
  bool turn_pending_ = false;
  io::TimeNs now_ = 0;
  io::TimerId timer_ = 0;
  io::TimeNs timer_at_ = io::kNever;
  uint64_t no_such_port_ = 0;
  uint64_t waiting_answers_ = 0;  // over all peers

  Handlers handlers_;
  // Deques: a callback that adds another one stays where it is.
  std::deque<Messenger::EventCallback> on_event_;
  std::deque<Messenger::WritableCallback> on_writable_;
  // A send whose completion somebody waits for. In place: the payload may be read for longer than
  // the outcome is open, and `done` runs when both are over.
  struct PendingSend {
    Messenger::SentCallback done;
    bool in_place;
    Outcome outcome;
  };
  void Sent(uint64_t cookie, Outcome outcome);
  void Released(uint64_t cookie);
  Slots<PendingSend> sent_;
  Slots<Messenger::ReplyCallback> called_;
  base::LogLimiter log_limiter_;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_CORE_H_
