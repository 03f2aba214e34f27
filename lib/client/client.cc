// SPDX-License-Identifier: Apache-2.0
#include "lib/client/client.h"

#include <capnp/message.h>
#include <endian.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "lib/base/status.h"
#include "lib/client/unix_socket.h"
#include "lib/proc/snapshot_codec.h"
#include "proto/admin.capnp.h"
#include "proto/message.h"

namespace clustix::client {
namespace {

std::vector<std::byte> Question(const std::function<void(proto::AdminRequest::Builder)>& ask) {
  capnp::MallocMessageBuilder message;
  ask(message.initRoot<proto::AdminRequest>());
  return proto::WriteMessage(message);
}

// Hands the reply to `read`, unless it is an error.
absl::Status ReadReply(const std::vector<std::byte>& bytes,
                       const std::function<absl::Status(proto::AdminReply::Reader)>& read) {
  return proto::ReadMessage<proto::AdminReply>(bytes, [&read](proto::AdminReply::Reader reply) {
    if (reply.isError()) {
      return absl::InternalError(absl::StrCat("the daemon says: ", reply.getError().cStr()));
    }
    return read(reply);
  });
}

absl::Status Unexpected() {
  return absl::InvalidArgumentError("the daemon answered something else than was asked");
}

std::vector<Counter> DecodeCounters(capnp::List<proto::Counter>::Reader from) {
  std::vector<Counter> counters;
  for (proto::Counter::Reader counter : from) {
    counters.push_back({counter.getName().cStr(), counter.getValue()});
  }
  return counters;
}

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
  status.proc_watch = from.getProcWatch().cStr();
  status.sets_epoch = from.getSetsEpoch();
  status.sets_state = from.getSetsState().cStr();
  status.local_proc = from.getLocalProc().cStr();
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

// `daemon_pid`: as this process sees it, or 0.
absl::StatusOr<Status> ReadStatus(const std::vector<std::byte>& bytes, pid_t daemon_pid) {
  Status status;
  RETURN_IF_ERROR(ReadReply(bytes, [&status](proto::AdminReply::Reader reply) {
    if (!reply.isStatus()) return Unexpected();
    status = DecodeStatus(reply.getStatus());
    return absl::OkStatus();
  }));
  status.shares_pids = status.pid == daemon_pid;
  if (daemon_pid > 0) status.pid = daemon_pid;
  return status;
}

// The connection ended, and with it the daemon, as a rule.
bool WentAway(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable;
}

}  // namespace

absl::StatusOr<Client> Client::Connect(const std::string& socket_path,
                                       std::chrono::milliseconds timeout) {
  ASSIGN_OR_RETURN(base::UniqueFd fd, ConnectUnix(socket_path, timeout));
  return Client(std::move(fd), socket_path, timeout);
}

absl::StatusOr<Client> Client::Await(const std::string& socket_path,
                                     std::chrono::milliseconds patience) {
  ASSIGN_OR_RETURN(base::UniqueFd fd, AwaitUnix(socket_path, patience));
  return Client(std::move(fd), socket_path, kSilence);
}

absl::StatusOr<Status> Client::GetStatus() {
  ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                   Exchange(Question([](auto ask) { ask.setStatus(); })));
  return ReadStatus(bytes, DaemonPid());
}

absl::StatusOr<Status> Client::AwaitPeers(std::chrono::milliseconds patience) {
  const auto wait_ms =
      static_cast<uint32_t>(std::clamp<int64_t>(patience.count(), 0, proto::AWAIT_PEERS_MS_MAX));
  // While it waits for its peers, a daemon that is well says nothing.
  ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                   Exchange(Question([wait_ms](auto ask) { ask.setAwaitPeers(wait_ms); }),
                            std::chrono::milliseconds(wait_ms)));
  return ReadStatus(bytes, DaemonPid());
}

absl::StatusOr<std::vector<proc::NodeSummary>> Client::GetNodes() {
  ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                   Exchange(Question([](auto ask) { ask.setNodes(); })));
  std::vector<proc::NodeSummary> nodes;
  RETURN_IF_ERROR(ReadReply(bytes, [&nodes](proto::AdminReply::Reader reply) {
    if (!reply.isNodes()) return Unexpected();
    nodes = proc::DecodeNodes(reply.getNodes());
    return absl::OkStatus();
  }));
  return nodes;
}

absl::StatusOr<proc::ClusterSnapshot> Client::GetSnapshot() {
  ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                   Exchange(Question([](auto ask) { ask.setSnapshot(); })));
  proc::ClusterSnapshot cluster;
  RETURN_IF_ERROR(ReadReply(bytes, [&cluster](proto::AdminReply::Reader reply) {
    if (!reply.isSnapshot()) return Unexpected();
    cluster = proc::DecodeCluster(reply.getSnapshot());
    return absl::OkStatus();
  }));
  return cluster;
}

absl::StatusOr<proc::SignalOutcome> Client::Signal(int32_t gpid, int signal, uint64_t start_ticks) {
  using proc::SignalOutcome;
  RETURN_IF_ERROR(SetTimeout(fd_, timeout_));
  const absl::StatusOr<std::vector<std::byte>> bytes = TryExchange(Question([&](auto ask) {
    auto wanted = ask.initSignal();
    wanted.setGpid(gpid);
    wanted.setSignal(signal);
    wanted.setStartTicks(start_ticks);
  }));
  // No second try: the first may have arrived.
  if (!bytes.ok()) return absl::UnknownError(bytes.status().message());
  SignalOutcome outcome = SignalOutcome::kUnknown;
  RETURN_IF_ERROR(ReadReply(*bytes, [&outcome](proto::AdminReply::Reader reply) {
    if (!reply.isSignal()) return Unexpected();
    const auto told = static_cast<uint16_t>(reply.getSignal());
    if (told > static_cast<uint16_t>(SignalOutcome::kUnknown)) return Unexpected();
    outcome = static_cast<SignalOutcome>(told);
    return absl::OkStatus();
  }));
  return outcome;
}

pid_t Client::DaemonPid() const {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return 0;
  return peer.pid;
}

// All that is asked by this may be asked twice. So a daemon that was killed under the question, and
// is back at once where something restarts it, is worth a second try.
absl::StatusOr<std::vector<std::byte>> Client::Exchange(const std::vector<std::byte>& request,
                                                        std::chrono::milliseconds patience) {
  RETURN_IF_ERROR(SetTimeout(fd_, timeout_ + patience));
  absl::StatusOr<std::vector<std::byte>> reply = TryExchange(request);
  if (reply.ok() || !WentAway(reply.status())) return reply;
  absl::StatusOr<base::UniqueFd> again = AwaitUnix(path_, kRestart, timeout_ + patience);
  if (!again.ok()) return reply;
  fd_ = *std::move(again);
  return TryExchange(request);
}

absl::StatusOr<std::vector<std::byte>> Client::TryExchange(const std::vector<std::byte>& request) {
  uint32_t length = htole32(static_cast<uint32_t>(request.size()));
  RETURN_IF_ERROR(SendAll(&length, sizeof(length)));
  RETURN_IF_ERROR(SendAll(request.data(), request.size()));
  RETURN_IF_ERROR(ReceiveAll(&length, sizeof(length)));
  length = le32toh(length);
  if (length == 0 || length > proto::ADMIN_REPLY_BYTES_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": a reply of ", length, " bytes; this is no clustixd"));
  }
  std::vector<std::byte> reply(length);
  RETURN_IF_ERROR(ReceiveAll(reply.data(), reply.size()));
  return reply;
}

absl::Status Client::SendAll(const void* data, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    ssize_t sent = send(fd_.get(), from, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return SocketError(errno);
    from += sent;
    bytes -= static_cast<size_t>(sent);
  }
  return absl::OkStatus();
}

absl::Status Client::ReceiveAll(void* to, size_t bytes) {
  auto* next = static_cast<std::byte*>(to);
  while (bytes > 0) {
    ssize_t got = recv(fd_.get(), next, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SocketError(errno);
    if (got == 0) {
      return absl::UnavailableError(absl::StrCat(path_, ": the daemon closed the connection"));
    }
    next += got;
    bytes -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status Client::SocketError(int error) const {
  if (error == EAGAIN || error == EWOULDBLOCK) {
    const pid_t pid = DaemonPid();
    const std::string name = pid > 0 ? absl::StrCat(pid) : "PID";
    return absl::DeadlineExceededError(absl::StrCat(
        path_, ": the daemon", pid > 0 ? absl::StrCat(", process ", pid, ",") : "",
        " has said nothing for ", timeout_.count(), " ms: it is stopped, or overrun (kill -CONT ",
        name, " lets a stopped one go on; --socket asks that of another node)"));
  }
  if (error == ECONNRESET || error == EPIPE) {
    return absl::UnavailableError(absl::StrCat(path_, ": the daemon ended while it was asked"));
  }
  return base::ErrnoStatus(error, path_);
}

}  // namespace clustix::client
