// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_service.h"

#include <capnp/message.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "daemon/admin_connection.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"
#include "proto/message.h"

namespace clustix::daemon {
namespace {

constexpr mode_t kSocketMode = 0666;

// For whom something is kept free that others cannot take.
bool IsOwn(uid_t uid) { return uid == 0 || uid == geteuid(); }

static_assert(AdminService::kReplyBytesMax / 2 >= proto::ADMIN_REPLY_BYTES_MAX,
              "everybody must be able to get the largest reply");
static_assert(proto::AWAIT_PEERS_MS_MAX < AdminService::kIdleMs,
              "a connection must not be taken for idle while its request waits");

ReplyBytes Encoded(capnp::MessageBuilder& message) {
  return std::make_shared<const std::vector<std::byte>>(proto::WriteMessage(message));
}

}  // namespace

ReplyBytes ErrorReply(absl::string_view text) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::AdminReply>().setError(std::string(text).c_str());
  return Encoded(message);
}

absl::StatusOr<std::unique_ptr<AdminService>> AdminService::Start(io::Io& io,
                                                                  const std::string& socket_path,
                                                                  procview::ClusterView& view,
                                                                  WorkerPool& workers,
                                                                  Hooks hooks) {
  std::unique_ptr<AdminService> service(new AdminService(io, view, workers, std::move(hooks)));
  ASSIGN_OR_RETURN(service->listener_,
                   io.Listen("unix:" + socket_path, io::StreamOptions{}, service.get()));
  // Last, for clients that wait for a daemon watch for it: client::AwaitUnix().
  if (chmod(socket_path.c_str(), kSocketMode) != 0) {
    absl::Status status = base::ErrnoStatus(errno, socket_path);
    service->Stop();
    return status;
  }
  return service;
}

AdminService::AdminService(io::Io& io, procview::ClusterView& view, WorkerPool& workers,
                           Hooks hooks)
    : io_(io), view_(view), workers_(workers), hooks_(std::move(hooks)) {}

AdminService::~AdminService() = default;

void AdminService::Stop(std::function<void()> closed) {
  if (stopped_) return;
  stopped_ = true;
  closed_ = std::move(closed);
  io_.CloseListener(listener_);
  // Whoever waits gets no answer any more: what it would tell is being taken down.
  for (const auto& [stream, timer] : std::exchange(awaiting_peers_, {})) io_.loop().Cancel(timer);
  for (auto& [stream, connection] : connections_) io_.Close(stream);
  ReportIfClosed();
}

void AdminService::ReportIfClosed() {
  if (stopped_ && connections_.empty() && closed_) {
    io_.loop().Post(std::exchange(closed_, nullptr));
  }
}

io::StreamHandler* AdminService::OnAccept(io::StreamId stream, const std::string& peer_address) {
  absl::StatusOr<ucred> peer = io_.PeerCredentials(stream);
  if (!peer.ok() || stopped_ || !HasRoomFor(peer->uid)) {
    ++turned_away_;
    return nullptr;
  }
  auto connection = std::make_unique<AdminConnection>(
      *this, stream, procview::Asker{.uid = peer->uid, .gid = peer->gid});
  io::StreamHandler* handler = connection.get();
  connections_.emplace(stream, std::move(connection));
  return handler;
}

bool AdminService::HasRoomFor(uid_t uid) const {
  if (connections_.size() >= kConnectionsMax) return false;
  if (IsOwn(uid)) return true;
  if (connections_.size() >= kConnectionsMax - kConnectionsPerUser) return false;
  auto same = std::count_if(connections_.begin(), connections_.end(),
                            [uid](const auto& entry) { return entry.second->client().uid == uid; });
  return static_cast<size_t>(same) < kConnectionsPerUser;
}

absl::Status AdminService::Dispatch(io::StreamId stream, std::span<const std::byte> request) {
  return proto::ReadMessage<proto::AdminRequest>(
      request, [this, stream](proto::AdminRequest::Reader question) {
        switch (question.which()) {
          case proto::AdminRequest::STATUS:
            AnswerWithStatus(stream);
            return absl::OkStatus();
          case proto::AdminRequest::AWAIT_PEERS:
            AnswerWhenPeersAreUp(stream, question.getAwaitPeers());
            return absl::OkStatus();
          case proto::AdminRequest::SNAPSHOT:
            AnswerFromView(stream, ReplyCache::Question::kCluster);
            return absl::OkStatus();
          case proto::AdminRequest::NODES:
            AnswerFromView(stream, ReplyCache::Question::kNodes);
            return absl::OkStatus();
          case proto::AdminRequest::SIGNAL:
            AnswerWithOutcome(stream, question.getSignal());
            return absl::OkStatus();
        }
        return absl::InvalidArgumentError("unknown request: the client is newer than the daemon");
      });
}

void AdminService::AnswerWithStatus(io::StreamId stream) {
  capnp::MallocMessageBuilder message;
  hooks_.fill_status(message.initRoot<proto::AdminReply>().initStatus());
  Reply(stream, Encoded(message));
}

void AdminService::AnswerWhenPeersAreUp(io::StreamId stream, uint32_t wait_ms) {
  if (wait_ms == 0 || hooks_.all_peers_up()) return AnswerWithStatus(stream);
  const uint64_t wait_ns = kNsPerMs * std::min<uint64_t>(wait_ms, proto::AWAIT_PEERS_MS_MAX);
  awaiting_peers_[stream] = io_.loop().RunAt(io_.loop().Now() + wait_ns, [this, stream] {
    awaiting_peers_.erase(stream);
    AnswerWithStatus(stream);
  });
}

void AdminService::OnPeerState() {
  if (awaiting_peers_.empty() || !hooks_.all_peers_up()) return;
  for (const auto& [stream, timer] : std::exchange(awaiting_peers_, {})) {
    io_.loop().Cancel(timer);
    AnswerWithStatus(stream);
  }
}

void AdminService::AnswerFromView(io::StreamId stream, ReplyCache::Question question) {
  const procview::Asker client = connections_.at(stream)->client();
  const bool reserved = IsOwn(client.uid);
  const size_t bytes_max = reserved ? kReplyBytesMax : kReplyBytesMax / 2;
  bool taken = workers_.Submit([this, stream, client, question, bytes_max] {
    std::shared_ptr<const proc::ClusterSnapshot> cluster = view_.Snapshot();
    if (question == ReplyCache::Question::kCluster) {  // nodes are told without their processes
      cluster = proc::SeenBy(std::move(cluster), client.uid, client.gid);
    }
    absl::StatusOr<ReplyBytes> bytes = replies_.Get(question, cluster, bytes_max);
    io_.loop().Post([this, stream, bytes = std::move(bytes)] {
      if (!bytes.ok()) ++turned_away_;
      Reply(stream, bytes.ok() ? *bytes : ErrorReply(bytes.status().message()));
    });
  });
  if (taken) return;
  ++turned_away_;
  Reply(stream, ErrorReply("too many questions at once: try again"));
}

void AdminService::AnswerWithOutcome(io::StreamId stream, proto::Signal::Reader wanted) {
  const uid_t uid = connections_.at(stream)->client().uid;
  bool taken = workers_.Submit([this, stream, gpid = wanted.getGpid(), signal = wanted.getSignal(),
                                start_ticks = wanted.getStartTicks(), uid] {
    const proc::SignalOutcome outcome = hooks_.signal(gpid, signal, start_ticks, uid);
    io_.loop().Post([this, stream, outcome] {
      capnp::MallocMessageBuilder message;
      message.initRoot<proto::AdminReply>().setSignal(static_cast<proto::SignalOutcome>(outcome));
      Reply(stream, Encoded(message));
    });
  });
  if (taken) return;
  ++turned_away_;
  Reply(stream, ErrorReply("too many questions at once: nothing was sent; try again"));
}

void AdminService::Reply(io::StreamId stream, ReplyBytes message) {
  // The client may have gone meanwhile; ids are never used again.
  auto connection = connections_.find(stream);
  if (connection != connections_.end()) connection->second->Reply(std::move(message));
}

void AdminService::Forget(io::StreamId stream) {
  if (auto waiting = awaiting_peers_.extract(stream)) io_.loop().Cancel(waiting.mapped());
  connections_.erase(stream);
  ReportIfClosed();
}

}  // namespace clustix::daemon
