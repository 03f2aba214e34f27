// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/exec_service.h"

#include <capnp/message.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "daemon/remote/frame.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"
#include "lib/base/time_units.h"
#include "lib/msg/ports.h"
#include "proto/message.h"

namespace clustix::remote {
namespace {

using base::Log;
using base::LogLevel;
using daemon::ExecAllow;

constexpr mode_t kSocketMode = 0666;

// For whom something is kept free that others cannot take.
bool IsOwn(uid_t uid) { return uid == 0 || uid == geteuid(); }

std::vector<std::byte> Message(const TunnelKey& key,
                               const std::function<void(proto::ExecMessage::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<proto::ExecMessage>();
  to.setSession(key.session);
  to.setToCaller(!key.caller);
  fill(to);
  return proto::WriteMessage(message);
}

capnp::Data::Reader ToData(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

Frame ToFrame(capnp::Data::Reader data) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data.begin());
  return {bytes, bytes + data.size()};
}

Frame BeginFrame(uid_t uid, proto::SessionKind kind, NodeId caller,
                 const std::string& daemon_socket) {
  return MakeFrame([&](proto::ExecFrame::Builder frame) {
    auto begin = frame.initBegin();
    begin.setUid(uid);
    begin.setKind(kind);
    begin.setCaller(caller);
    begin.setDaemonSocket(daemon_socket.c_str());
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExecService>> ExecService::Start(io::Io& io, Messenger& messenger,
                                                                const member::NodeTable& nodes,
                                                                ExecOptions options) {
  std::unique_ptr<ExecService> service(new ExecService(io, messenger, nodes, std::move(options)));
  if (service->options_.session_socket.empty()) {
    ASSIGN_OR_RETURN(service->starter_, Starter::Start(service->options_.starter_path));
  }
  const std::string& path = service->options_.socket_path;
  ASSIGN_OR_RETURN(service->listener_,
                   io.Listen("unix:" + path, io::StreamOptions{}, service.get()));
  if (chmod(path.c_str(), kSocketMode) != 0) return base::ErrnoStatus(errno, path);
  ExecService* raw = service.get();
  messenger.Handle(msg::kPortExec, [raw](const Incoming& incoming) { raw->OnMessage(incoming); });
  messenger.OnEvent([raw](NodeId node, PeerEvent event) { raw->OnPeerEvent(node, event); });
  messenger.OnWritable([raw](NodeId node, Lane lane) {
    if (lane == Lane::kBulk) raw->OnWritable(node);
  });
  return service;
}

ExecService::ExecService(io::Io& io, Messenger& messenger, const member::NodeTable& nodes,
                         ExecOptions options)
    : io_(io), messenger_(&messenger), nodes_(nodes), options_(std::move(options)) {}

ExecService::~ExecService() = default;

void ExecService::Stop(std::function<void()> closed) {
  if (messenger_ == nullptr) return;
  messenger_->Handle(msg::kPortExec, nullptr);
  messenger_ = nullptr;
  closed_ = std::move(closed);
  io_.CloseListener(listener_);
  for (const auto& [node, timer] : std::exchange(giving_up_, {})) io_.loop().Cancel(timer);
  for (const auto& [stream, timer] : std::exchange(silent_, {})) io_.loop().Cancel(timer);
  backlogs_.clear();
  by_key_.clear();
  for (auto& [stream, tunnel] : tunnels_) tunnel->Close();
  ReportIfClosed();
}

void ExecService::ReportIfClosed() {
  if (messenger_ == nullptr && tunnels_.empty() && closed_) {
    io_.loop().Post(std::exchange(closed_, nullptr));
  }
}

// --- callers ------------------------------------------------------------------------------------

io::StreamHandler* ExecService::OnAccept(io::StreamId stream, const std::string&) {
  absl::StatusOr<ucred> peer = io_.PeerCredentials(stream);
  if (!peer.ok() || messenger_ == nullptr || !HasRoomFor(peer->uid)) {
    ++turned_away_;
    return nullptr;
  }
  auto tunnel = std::make_unique<Tunnel>(*this, stream, peer->uid);
  io::StreamHandler* handler = tunnel.get();
  tunnels_.emplace(stream, std::move(tunnel));
  silent_[stream] = io_.loop().RunAt(io_.loop().Now() + kSilenceMs * kNsPerMs,
                                     [this, stream] { OnSilence(stream); });
  return handler;
}

void ExecService::OnSilence(io::StreamId stream) {
  silent_.erase(stream);
  OnMisfit(*tunnels_.at(stream),
           absl::DeadlineExceededError(absl::StrCat("no request within ", kSilenceMs, " ms")));
}

void ExecService::EndSilence(io::StreamId stream) {
  if (auto timer = silent_.extract(stream)) io_.loop().Cancel(timer.mapped());
}

bool ExecService::HasRoomFor(uid_t uid) const {
  if (tunnels_.size() >= kTunnelsMax) return false;
  if (IsOwn(uid)) return true;
  if (tunnels_.size() >= kTunnelsMax - kTunnelsPerUser) return false;
  auto same = std::count_if(tunnels_.begin(), tunnels_.end(),
                            [uid](const auto& entry) { return entry.second->uid() == uid; });
  return static_cast<size_t>(same) < kTunnelsPerUser;
}

std::string ExecService::WhyNoWay(NodeId node, uid_t uid) const {
  auto backlog = backlogs_.find(node);
  const size_t bytes_max = IsOwn(uid) ? kBacklogBytesMax : kBacklogBytesMax / 2;
  if (backlog == backlogs_.end() || backlog->second.bytes() < bytes_max) return "";
  return absl::StrCat("too much waits to be sent to ", NameOf(node), ": try again");
}

size_t ExecService::waiting_bytes() const {
  size_t bytes = 0;
  for (const auto& [node, backlog] : backlogs_) bytes += backlog.bytes();
  return bytes;
}

void ExecService::OnFrames(Tunnel& tunnel, Frame frames) {
  if (tunnel.is_open()) return SendFrames(tunnel.key(), frames);
  if (tunnel.key().session != 0) return;
  EndSilence(tunnel.stream());
  OnStart(tunnel, std::move(frames));
}

void ExecService::OnStart(Tunnel& tunnel, Frame frames) {
  FrameCutter cutter;
  cutter.Add(frames);
  absl::StatusOr<Frame> first = cutter.TakeWhole(1);
  absl::StatusOr<Frame> rest = cutter.TakeWhole(frames.size());
  if (!first.ok() || !rest.ok()) return OnMisfit(tunnel, absl::InternalError("no frame"));
  constexpr size_t kLengthBytes = sizeof(uint32_t);
  absl::Status status = ReadFrame(std::span<const std::byte>(*first).subspan(kLengthBytes),
                                  [&](proto::ExecFrame::Reader frame) {
                                    if (!frame.isStart()) {
                                      return absl::InvalidArgumentError("not a start");
                                    }
                                    return Open(tunnel, frame.getStart(), *first);
                                  });
  if (absl::IsInvalidArgument(status)) return OnMisfit(tunnel, status);
  if (!status.ok()) return Fail(tunnel, std::string(base::ToStd(status.message())));
  if (!rest->empty()) SendFrames(tunnel.key(), *rest);
}

absl::Status ExecService::Open(Tunnel& tunnel, proto::Start::Reader start, const Frame& frame) {
  const std::string wanted = start.getNode().cStr();
  const member::NodeEntry* found = nullptr;
  for (const member::NodeEntry& entry : nodes_.entries()) {
    if (wanted == std::to_string(entry.node.id) || wanted == entry.node.name) found = &entry;
  }
  if (found == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no such node: ", wanted, " (clustix nodes lists them)"));
  }
  const NodeId node = found->node.id;
  if (!found->self && !member::IsReachable(found->state)) {
    return absl::UnavailableError(
        absl::StrCat(NameOf(node), " does not answer: it is ", PeerStateName(found->state)));
  }
  if (const std::string why = WhyNoWay(node, tunnel.uid()); !why.empty()) {
    ++turned_away_;
    return absl::ResourceExhaustedError(why);
  }
  const TunnelKey key{.peer = node, .session = base::RandomId(), .caller = true};
  tunnel.set_key(key);
  by_key_[key] = &tunnel;
  Send(
      {key, proto::ExecMessage::OPEN,
       Message(key,
               [&](proto::ExecMessage::Builder message) {
                 auto open = message.initOpen();
                 open.setStart(ToData(frame));
                 open.initBegin().setUid(tunnel.uid());
                 open.getBegin().setKind(start.isCommand() ? proto::SessionKind::COMMAND
                                                           : proto::SessionKind::PROCESS);
               }),
       [this, session = key.session, node](Outcome outcome) { OnOpened(session, node, outcome); }});
  return absl::OkStatus();
}

// The other daemon has the request, or certainly not, or it cannot be known.
void ExecService::OnOpened(uint64_t session, NodeId node, Outcome outcome) {
  Tunnel* tunnel = Find({.peer = node, .session = session, .caller = true});
  if (tunnel == nullptr || outcome == Outcome::kOk) return;
  if (outcome == Outcome::kUnknown || outcome == Outcome::kDeadline) {
    return Lose(*tunnel,
                absl::StrCat(NameOf(node), " failed before it said whether it had started"));
  }
  const char* why =
      outcome == Outcome::kNoSuchPort ? "its clustixd does not run" : OutcomeName(outcome);
  Fail(*tunnel, absl::StrCat(NameOf(node), " cannot be told: ", why));
}

void ExecService::OnMisfit(Tunnel& tunnel, const absl::Status& why) {
  ++bad_requests_;
  EndSilence(tunnel.stream());
  Log(LogLevel::kDebug, "exec", "bad frame", {{"uid", tunnel.uid()}, {"error", why}});
  if (tunnel.key().session != 0) {
    SendClose(tunnel.key());
    Unkey(tunnel);
    return tunnel.Close();
  }
  Fail(tunnel, std::string(base::ToStd(why.message())));
}

// --- sessions -----------------------------------------------------------------------------------

std::string ExecService::WhyNot(uid_t uid, proto::SessionKind kind) const {
  const std::string here = NameOf(nodes_.self());
  if (geteuid() != 0 && uid != geteuid()) {
    return absl::StrCat("the daemon of ", here, " runs as uid ", geteuid(),
                        ", not as root: it does nothing for others");
  }
  // As signals: the kernel decides what the user may do.
  if (kind == proto::SessionKind::PROCESS) return "";
  const bool allowed = options_.allow == ExecAllow::kAll ||
                       (options_.allow == ExecAllow::kUsers && uid != 0) ||
                       (options_.allow == ExecAllow::kRoot && uid == 0);
  if (allowed) return "";
  return absl::StrCat(here, " starts nothing for ", uid == 0 ? "root" : absl::StrCat("uid ", uid),
                      " (exec.allow in its cluster.toml says for whom)");
}

void ExecService::OnOpen(const TunnelKey& key, proto::Open::Reader open) {
  const uid_t uid = open.getBegin().getUid();
  const proto::SessionKind kind = open.getBegin().getKind();
  Frame start = ToFrame(open.getStart());
  std::string why = WhyNot(uid, kind);
  if (why.empty()) {
    why = HasRoomFor(uid)
              ? WhyNoWay(key.peer, uid)
              : absl::StrCat(NameOf(nodes_.self()), " has too many sessions: try again");
    if (!why.empty()) ++turned_away_;
  }
  auto tunnel = std::make_unique<Tunnel>(*this, key, uid);
  if (why.empty()) {
    if (absl::Status status = Connect(*tunnel); !status.ok()) {
      why = std::string(base::ToStd(status.message()));
    }
  }
  if (!why.empty()) {
    Log(LogLevel::kInfo, "exec", "starts nothing",
        {{"peer", key.peer}, {"uid", uid}, {"why", why}});
    SendFrames(key, FailedFrame(kExitNotStarted, why));
    return SendClose(key);
  }
  Log(LogLevel::kInfo, "exec", "session", {{"peer", key.peer}, {"uid", uid}});
  tunnel->Write(BeginFrame(uid, kind, key.peer, options_.daemon_socket));
  tunnel->Write(std::move(start));
  by_key_[key] = tunnel.get();
  tunnels_.emplace(tunnel->stream(), std::move(tunnel));
}

absl::Status ExecService::Connect(Tunnel& tunnel) {
  if (starter_ != nullptr) RETURN_IF_ERROR(starter_->EnsureRunning());
  const std::string& path = starter_ != nullptr ? options_.starter_path : options_.session_socket;
  ASSIGN_OR_RETURN(const io::StreamId stream,
                   io_.Connect("unix:" + path, "", io::StreamOptions{}, &tunnel));
  tunnel.set_stream(stream);
  return absl::OkStatus();
}

void ExecService::OnNoSession(Tunnel& tunnel, int error) {
  Log(LogLevel::kError, "exec", "no session", {{"error", strerror(error)}});
  if (!tunnel.is_open()) return;
  SendFrames(tunnel.key(),
             FailedFrame(kExitNotStarted, absl::StrCat(NameOf(nodes_.self()),
                                                       " can start nothing: ", strerror(error))));
}

// --- either end ---------------------------------------------------------------------------------

Tunnel* ExecService::Find(const TunnelKey& key) {
  auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

void ExecService::Unkey(Tunnel& tunnel) { by_key_.erase(tunnel.key()); }

void ExecService::OnClosed(Tunnel& tunnel) {
  if (Find(tunnel.key()) == &tunnel) {
    SendClose(tunnel.key());
    Unkey(tunnel);
  }
  EndSilence(tunnel.stream());
  tunnels_.erase(tunnel.stream());
  ReportIfClosed();
}

void ExecService::Fail(Tunnel& tunnel, const std::string& why) {
  tunnel.Write(FailedFrame(kExitNotStarted, why));
  Unkey(tunnel);
  tunnel.End();
}

// The other end may be there: it is told when it can be.
void ExecService::Lose(Tunnel& tunnel, const std::string& why) {
  if (TakeBack(tunnel.key())) return Fail(tunnel, why);
  SendClose(tunnel.key());
  Unkey(tunnel);
  if (!tunnel.key().caller) return tunnel.Close();
  tunnel.Write(LostFrame(why));
  tunnel.End();
}

void ExecService::LoseAll(NodeId node, const std::string& why) {
  std::vector<Tunnel*> lost;
  for (const auto& [key, tunnel] : by_key_) {
    if (key.peer == node) lost.push_back(tunnel);
  }
  for (Tunnel* tunnel : lost) Lose(*tunnel, why);
}

std::string ExecService::NameOf(NodeId node) const {
  const member::NodeEntry* entry = nodes_.Find(node);
  return entry == nullptr ? absl::StrCat("node ", node) : entry->node.name;
}

// --- the messenger ------------------------------------------------------------------------------

void ExecService::SendFrames(const TunnelKey& key, const Frame& frames) {
  Send({key, proto::ExecMessage::FRAMES,
        Message(key,
                [&](proto::ExecMessage::Builder message) { message.setFrames(ToData(frames)); }),
        nullptr});
}

void ExecService::SendClose(const TunnelKey& key) {
  if (TakeBack(key)) return;
  Send({key, proto::ExecMessage::CLOSE,
        Message(key, [](proto::ExecMessage::Builder message) { message.setClose(); }), nullptr});
}

bool ExecService::TakeBack(const TunnelKey& key) {
  auto backlog = backlogs_.find(key.peer);
  return backlog != backlogs_.end() && backlog->second.TakeBack(key);
}

void ExecService::Send(Backlog::Message message) {
  if (messenger_ == nullptr) return;
  const NodeId to = message.key.peer;
  if (!backlogs_.contains(to) && TrySend(message)) return;
  backlogs_[to].Add(std::move(message));
  for (const auto& [key, tunnel] : by_key_) {
    if (key.peer == to) tunnel->Pause();
  }
}

// False: the queue is full.
bool ExecService::TrySend(const Backlog::Message& message) {
  const NodeId to = message.key.peer;
  if (to == nodes_.self()) {
    io_.loop().Post([this, bytes = message.bytes, done = message.done] {
      if (messenger_ == nullptr) return;
      if (done) done(Outcome::kOk);
      OnMessage({.from = nodes_.self(),
                 .port = msg::kPortExec,
                 .lane = Lane::kBulk,
                 .epoch = 0,
                 .wants_reply = false,
                 .request = 0,
                 .payload = bytes});
    });
    return true;
  }
  Outcome outcome;
  if (message.kind == proto::ExecMessage::OPEN) {
    const CallOptions options{.lane = Lane::kBulk, .timeout_ms = kPatienceMs, .epoch = 0};
    outcome = messenger_->Call(to, msg::kPortExec, message.bytes, options,
                               [done = message.done](const Reply& reply) { done(reply.outcome); });
  } else {
    outcome = messenger_->Send(to, msg::kPortExec, message.bytes, Lane::kBulk);
  }
  if (outcome == Outcome::kBusy) return false;
  if (outcome == Outcome::kOk) return true;
  // Nothing was queued, and what follows would have a hole before it.
  io_.loop().Post([this, to, outcome, done = message.done] {
    if (messenger_ == nullptr) return;
    if (done) return done(outcome);
    LoseAll(to, absl::StrCat(NameOf(to), " cannot be told any more: ", OutcomeName(outcome)));
  });
  return true;
}

void ExecService::OnWritable(NodeId node) {
  auto found = backlogs_.find(node);
  if (messenger_ == nullptr || found == backlogs_.end()) return;
  Backlog& backlog = found->second;
  while (!backlog.empty() && TrySend(backlog.first())) {
    backlog.RemoveFirst();
  }
  if (!backlog.empty()) return;
  backlogs_.erase(found);
  std::vector<Tunnel*> paused;
  for (const auto& [key, tunnel] : by_key_) {
    if (key.peer == node) paused.push_back(tunnel);
  }
  // One that goes on may fill the queue again, and then pauses all.
  for (Tunnel* tunnel : paused) {
    if (!backlogs_.contains(node)) tunnel->Resume();
  }
}

void ExecService::OnMessage(const Incoming& incoming) {
  const absl::Status status = proto::ReadMessage<proto::ExecMessage>(
      incoming.payload, [&](proto::ExecMessage::Reader message) -> absl::Status {
        const bool asks = message.isOpen() && incoming.from != nodes_.self();
        if (incoming.wants_reply != asks) return absl::InvalidArgumentError("not as it is sent");
        return Dispatch(incoming.from, message);
      });
  if (incoming.wants_reply) {
    messenger_->Answer(incoming.from, incoming.lane, incoming.request, status.ok() ? 0 : EBADMSG,
                       {});
  }
  if (status.ok()) return;
  ++bad_requests_;
  Log(LogLevel::kDebug, "exec", "bad message", {{"peer", incoming.from}, {"error", status}});
}

absl::Status ExecService::Dispatch(NodeId from, proto::ExecMessage::Reader message) {
  const TunnelKey key{
      .peer = from, .session = message.getSession(), .caller = message.getToCaller()};
  if (key.session == 0) return absl::InvalidArgumentError("no session");
  Tunnel* tunnel = Find(key);
  switch (message.which()) {
    case proto::ExecMessage::OPEN:
      if (key.caller || tunnel != nullptr) {
        return absl::InvalidArgumentError("a session that there is");
      }
      if (message.getOpen().getStart().size() > sizeof(uint32_t) + proto::EXEC_FRAME_BYTES_MAX) {
        return absl::InvalidArgumentError("too large a start");
      }
      OnOpen(key, message.getOpen());
      return absl::OkStatus();
    case proto::ExecMessage::FRAMES:
      // It has ended here, which the other end is being told.
      if (tunnel == nullptr) return absl::OkStatus();
      if (tunnel->Write(ToFrame(message.getFrames()))) return absl::OkStatus();
      Lose(*tunnel, "more was sent than was allowed");
      return absl::InvalidArgumentError("more frames than were allowed");
    case proto::ExecMessage::CLOSE:
      // What ended here and waits to say so is not waited for any more.
      if (auto backlog = backlogs_.find(from); backlog != backlogs_.end()) {
        backlog->second.Remove(key);
      }
      if (tunnel == nullptr) return absl::OkStatus();
      Unkey(*tunnel);
      if (tunnel->key().caller) {
        tunnel->End();
      } else {
        tunnel->Close();
      }
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError("an unknown message");
}

void ExecService::OnPeerEvent(NodeId node, PeerEvent event) {
  if (messenger_ == nullptr) return;
  if (event == PeerEvent::kDead) {
    const uint64_t when = io_.loop().Now() + kPatienceMs * kNsPerMs;
    giving_up_.try_emplace(node, 0);
    io_.loop().Cancel(giving_up_[node]);
    giving_up_[node] = io_.loop().RunAt(when, [this, node] {
      giving_up_.erase(node);
      LoseAll(node, absl::StrCat(NameOf(node), " does not answer any more"));
      if (auto backlog = backlogs_.find(node); backlog != backlogs_.end()) {
        backlog->second.KeepEnds();
      }
    });
    return;
  }
  if (event != PeerEvent::kUp && event != PeerEvent::kRebooted) return;
  if (auto timer = giving_up_.extract(node)) io_.loop().Cancel(timer.mapped());
  if (event != PeerEvent::kRebooted) return;
  LoseAll(node, absl::StrCat("the daemon of ", NameOf(node), " restarted"));
  backlogs_.erase(node);  // its new life knows of nothing that there was
}

}  // namespace clustix::remote
