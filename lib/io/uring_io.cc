// SPDX-License-Identifier: Apache-2.0
//
// Streams over a UringLoop; listeners and devices have files of their own. What keeps them safe:
//
//   1. The kernel works on memory of a Stream while an operation of it is in flight, so it is freed
//      only when it is closing and nothing of it is in flight.
//   2. That happens in a deferred task, never within a callback: a callback may close what called
//      it, and the reference that the caller holds stays good until the turn's completions are
//      done.
//   3. A completion finds its owner by an id that is never reused, not by a pointer.
#include "lib/io/uring_io.h"

#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "lib/io/address.h"
#include "lib/io/socket.h"
#include "lib/io/uring_devices.h"
#include "lib/io/uring_listeners.h"
#include "lib/io/uring_loop.h"

namespace clustix::io {
namespace {

using base::UniqueFd;

// What one read past the ring takes at most.
constexpr size_t kDirectBytes = 8 * 1024;
// How long a worker of the kernel gets to stop before it is told again.
constexpr TimeNs kWorkerAgainNs = 10'000'000;

struct Stream {
  StreamId id;
  UniqueFd fd;
  StreamHandler* handler;
  bool is_unix;
  SocketAddress peer;  // where to connect to

  // Operations in flight.
  bool connecting = false;
  bool receiving = false;
  bool sending = false;
  bool reporting = false;  // the write is over, and its report deferred

  bool receive_cancelled = false;  // the receive in flight has been told to end
  bool fed = false;                // the receive in flight, or the last one, has brought bytes
  bool open = false;               // connected, so that bytes may be received
  bool paused = false;
  bool bulk = false;
  bool closing = false;
  bool finishing = false;  // its Finish() is deferred
  int close_error = 0;

  msghdr message = {};
  std::vector<iovec> vecs;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(Io::kMaxFds * sizeof(int))> control;
  size_t written = 0;   // bytes of the write in flight
  int write_error = 0;  // of one that is over

  bool in_flight() const { return connecting || receiving || sending; }
};

// The receive ended for want of a buffer, or because we cancelled it; the stream is well. Buffers
// come back before the next turn, so that to begin again is not to spin.
bool IsNoEnd(int error) {
  return error == ENOBUFS || error == ECANCELED || error == EINTR || error == EAGAIN;
}

class UringIoImpl final : public UringIo {
 public:
  explicit UringIoImpl(std::unique_ptr<UringLoop> loop)
      : loop_(std::move(loop)),
        ring_(loop_->ring()),
        devices_(*loop_),
        listeners_(*loop_, [this](UniqueFd fd, ListenHandler* handler) {
          Accepted(std::move(fd), handler);
        }) {
    loop_->set_completion_handler([this](const Completion& c) { OnCompletion(c); });
    loop_->set_direct_receiver([this] { return ReceiveDirectly(); });
  }
  ~UringIoImpl() override;

  Loop& loop() override { return *loop_; }
  void Run() override { loop_->Run(); }
  void Stop() override { loop_->Stop(); }
  void WatchFd(int fd, std::function<void()> readable) override {
    loop_->WatchFd(fd, std::move(readable));
  }
  void UnwatchFd(int fd) override { loop_->UnwatchFd(fd); }
  UringCounters counters() const override {
    return {.entries = ring_.entries(), .writes = writes_, .reads = reads_};
  }

  absl::StatusOr<ListenerId> Listen(const std::string& address, const StreamOptions& options,
                                    ListenHandler* handler) override {
    return listeners_.Listen(address, options, handler);
  }
  std::string LocalAddress(ListenerId listener) const override {
    return listeners_.LocalAddress(listener);
  }
  void CloseListener(ListenerId listener) override { listeners_.Close(listener); }
  absl::StatusOr<StreamId> Connect(const std::string& address, const std::string& bind_address,
                                   const StreamOptions& options, StreamHandler* handler) override;
  void Send(StreamId stream, std::span<const iovec> vecs) override {
    SendWithFds(stream, vecs, {});
  }
  void SendWithFds(StreamId stream, std::span<const iovec> vecs, std::span<const int> fds) override;
  void SetBulk(StreamId stream) override;
  void PauseReceive(StreamId stream) override;
  void ResumeReceive(StreamId stream) override;
  void Close(StreamId stream) override;
  absl::StatusOr<ucred> PeerCredentials(StreamId stream) override;

  DeviceId Attach(int fd, DeviceHandler* handler) override { return devices_.Attach(fd, handler); }
  void Submit(DeviceId device, uint32_t op, const CommandPayload& payload, uint32_t tag) override {
    devices_.Submit(device, op, payload, tag);
  }
  void Watch(DeviceId device, uint32_t events) override { devices_.Watch(device, events); }
  void Detach(DeviceId device) override { devices_.Detach(device); }

 private:
  void OnCompletion(const Completion& completion);
  void CancelAgain(const MissedCancel& missed);
  bool IsToEnd(Op op, uint64_t id);
  void OnConnect(Stream& stream, const Completion& completion);
  void OnReceive(Stream& stream, const Completion& completion);
  void OnSend(Stream& stream, const Completion& completion);
  static void AttachFds(Stream& stream, std::span<const int> fds);
  static bool SkipWritten(Stream& stream);
  void ReportWrites();
  void ReportSent(Stream& stream, int error);

  void Accepted(UniqueFd fd, ListenHandler* handler);

  Stream& AddStream(UniqueFd fd, StreamHandler* handler, bool is_unix);
  Stream* FindStream(StreamId id);
  void Receive(Stream& stream);
  void ReceiveAgain(Stream& stream);
  bool ReceiveDirectly();
  void CancelReceive(Stream& stream);
  void BeginClose(Stream& stream, int error);
  void FinishIfIdle(Stream& stream);
  void Finish(StreamId id);

  std::unique_ptr<UringLoop> loop_;
  UringRing& ring_;
  UringDevices devices_;
  UringListeners listeners_;
  std::unordered_map<StreamId, std::unique_ptr<Stream>> streams_;
  std::vector<StreamId> reports_;    // streams whose write is over and not reported
  std::vector<StreamId> reporting_;  // empty between turns
  StreamId next_stream_ = 1;
  StreamId fed_ = 0;     // the stream that was last
  uint64_t writes_ = 0;  // sendmsg() called
  uint64_t reads_ = 0;   // recv() called
  std::array<std::byte, kDirectBytes> direct_;
};

UringIoImpl::~UringIoImpl() {
  loop_->Drain([](const Completion& completion) {
    if (completion.op == Op::kAccept && completion.result >= 0) close(completion.result);
  });
}

void UringIoImpl::OnCompletion(const Completion& completion) {
  if (completion.op == Op::kCancel) {
    if (const std::optional<MissedCancel> missed = MissedBy(completion)) CancelAgain(*missed);
    return;
  }
  if (completion.op == Op::kAccept) {
    listeners_.OnCompletion(completion);
    return;
  }
  if (completion.op == Op::kCommand || completion.op == Op::kEvents) {
    devices_.OnCompletion(completion);
    return;
  }
  Stream& stream = *streams_.at(completion.id);
  switch (completion.op) {
    case Op::kConnect:
      OnConnect(stream, completion);
      break;
    case Op::kReceive:
      OnReceive(stream, completion);
      break;
    default:
      assert(completion.op == Op::kSend);
      OnSend(stream, completion);
  }
}

// Most often the operation has ended by itself, or does so in this turn.
void UringIoImpl::CancelAgain(const MissedCancel& missed) {
  if (!IsToEnd(missed.op, missed.id)) return;
  if (!missed.running) {
    ring_.QueueCancel(missed.op, missed.id);
    return;
  }
  loop_->RunAt(loop_->Now() + kWorkerAgainNs, [this, missed] {
    if (IsToEnd(missed.op, missed.id)) ring_.QueueCancel(missed.op, missed.id);
  });
}

// Is the operation in flight, and has its owner cancelled it?
bool UringIoImpl::IsToEnd(Op op, uint64_t id) {
  if (op == Op::kEvents) return devices_.IsToEnd(id);
  if (op == Op::kAccept) return listeners_.IsToEnd(id);
  const Stream* stream = FindStream(id);
  if (stream == nullptr) return false;
  if (op == Op::kReceive) return stream->receiving && stream->receive_cancelled;
  return stream->closing &&
         (op == Op::kConnect ? stream->connecting : stream->sending && !stream->reporting);
}

Stream& UringIoImpl::AddStream(UniqueFd fd, StreamHandler* handler, bool is_unix) {
  auto stream = std::make_unique<Stream>();
  stream->id = next_stream_++;
  stream->fd = std::move(fd);
  stream->handler = handler;
  stream->is_unix = is_unix;
  return *streams_.emplace(stream->id, std::move(stream)).first->second;
}

Stream* UringIoImpl::FindStream(StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void UringIoImpl::Accepted(UniqueFd fd, ListenHandler* handler) {
  const absl::StatusOr<SocketAddress> peer = PeerAddressOf(fd.get());
  if (!peer.ok()) return;  // reset before we looked
  const StreamId id = next_stream_;
  // The handler may use the stream from within OnAccept(), so the stream is there before it has
  // one.
  Stream& stream = AddStream(std::move(fd), nullptr, peer->is_unix());
  stream.open = true;
  stream.handler = handler->OnAccept(id, FormatAddress(*peer));
  if (stream.handler == nullptr) {
    BeginClose(stream, 0);
  } else if (!stream.closing && !stream.paused && !stream.receiving) {
    Receive(stream);
  }
}

absl::StatusOr<StreamId> UringIoImpl::Connect(const std::string& address,
                                              const std::string& bind_address,
                                              const StreamOptions& options,
                                              StreamHandler* handler) {
  ASSIGN_OR_RETURN(const SocketAddress peer, ParseAddress(address));
  ASSIGN_OR_RETURN(UniqueFd fd, OpenConnector(peer, bind_address, options));
  Stream& stream = AddStream(std::move(fd), handler, peer.is_unix());
  stream.peer = peer;
  stream.connecting = true;
  ring_.Queue(Op::kConnect, stream.id, [&](io_uring_sqe* sqe) {
    io_uring_prep_connect(sqe, stream.fd.get(), stream.peer.get(), stream.peer.bytes);
  });
  return stream.id;
}

void UringIoImpl::OnConnect(Stream& stream, const Completion& completion) {
  stream.connecting = false;
  if (stream.closing) {
    FinishIfIdle(stream);
    return;
  }
  int error = -completion.result;
  if (error == 0 && IsConnectedToItself(stream.fd.get())) error = ECONNREFUSED;
  if (error != 0) {
    BeginClose(stream, error);
    stream.handler->OnConnected(error);
    return;
  }
  stream.open = true;
  stream.handler->OnConnected(0);
  if (!stream.closing && !stream.paused && !stream.receiving) Receive(stream);
}

void UringIoImpl::Receive(Stream& stream) {
  stream.receiving = true;
  stream.fed = false;
  ring_.QueueReceive(stream.id, stream.fd.get(), stream.bulk);
}

// The kernel serves receives in the order in which they are queued, and the first may take every
// buffer: whoever has been fed queues behind those that found none.
void UringIoImpl::ReceiveAgain(Stream& stream) {
  if (!stream.fed) {
    Receive(stream);
    return;
  }
  loop_->Defer([this, id = stream.id] {
    Stream* fed = FindStream(id);
    if (fed != nullptr && !fed->closing && !fed->paused && !fed->receiving) Receive(*fed);
  });
}

// The stream's receive stays in flight, and finds less or nothing when the kernel goes on with it,
// which it does only when it is entered (UringRing::works_when_entered()). So what is read here
// follows what the receive brought before, and precedes what it brings next. An end or an error is
// left to the receive.
bool UringIoImpl::ReceiveDirectly() {
  Stream* stream = FindStream(fed_);
  if (stream == nullptr || stream->closing || stream->paused || !stream->receiving) return false;
  ++reads_;
  const ssize_t bytes = recv(stream->fd.get(), direct_.data(), direct_.size(), MSG_DONTWAIT);
  if (bytes <= 0) return false;
  stream->fed = true;
  stream->handler->OnData({direct_.data(), static_cast<size_t>(bytes)});
  return true;
}

void UringIoImpl::CancelReceive(Stream& stream) {
  if (!stream.receiving || stream.receive_cancelled) return;
  stream.receive_cancelled = true;
  ring_.QueueCancel(Op::kReceive, stream.id);
}

void UringIoImpl::OnReceive(Stream& stream, const Completion& completion) {
  if (!completion.more()) stream.receiving = stream.receive_cancelled = false;
  if (!stream.closing) {
    if (completion.result > 0) {
      stream.fed = true;
      fed_ = stream.id;
      stream.handler->OnData(ring_.Received(completion));
    } else if (!IsNoEnd(-completion.result)) {
      BeginClose(stream, -completion.result);
    }
  }
  ring_.GiveBack(completion);
  if (stream.closing) {
    FinishIfIdle(stream);
  } else if (!stream.receiving && !stream.paused) {
    ReceiveAgain(stream);
  }
}

// The receive in flight ends, and begins again with other buffers.
void UringIoImpl::SetBulk(StreamId id) {
  Stream* stream = FindStream(id);
  if (stream == nullptr || stream->closing || stream->bulk) return;
  stream->bulk = true;
  CancelReceive(*stream);
}

// What the kernel has received goes on into the socket's buffer, which fills, and TCP tells the
// peer.
void UringIoImpl::PauseReceive(StreamId id) {
  Stream* stream = FindStream(id);
  if (stream == nullptr || stream->closing) return;
  stream->paused = true;
  CancelReceive(*stream);
}

void UringIoImpl::ResumeReceive(StreamId id) {
  Stream* stream = FindStream(id);
  if (stream == nullptr || stream->closing || !stream->paused) return;
  stream->paused = false;
  // If the old receive is still being cancelled, its last completion begins a new one.
  if (stream->open && !stream->receiving && stream->handler != nullptr) Receive(*stream);
}

// A socket mostly has room, and then writing at once costs one system call; through the ring, its
// completion would end the wait for data that follows, and cost another turn.
void UringIoImpl::SendWithFds(StreamId id, std::span<const iovec> vecs, std::span<const int> fds) {
  assert(vecs.size() <= kMaxVecs && fds.size() <= kMaxFds);
  Stream* stream = FindStream(id);
  if (stream == nullptr || stream->closing) return;
  assert(!stream->sending);
  stream->sending = true;
  stream->vecs.assign(vecs.begin(), vecs.end());
  stream->message = {};
  stream->message.msg_iov = stream->vecs.data();
  stream->message.msg_iovlen = stream->vecs.size();
  if (!fds.empty()) AttachFds(*stream, fds);
  ++writes_;
  const ssize_t written = sendmsg(stream->fd.get(), &stream->message, MSG_NOSIGNAL | MSG_DONTWAIT);
  const int error = written < 0 ? errno : 0;
  stream->written = error == 0 ? static_cast<size_t>(written) : 0;
  if (stream->written > 0)
    stream->message.msg_controllen = 0;  // the files went with the first byte
  if ((error == 0 && SkipWritten(*stream)) || error == EAGAIN || error == EINTR) {
    ring_.Queue(Op::kSend, id, [&](io_uring_sqe* sqe) {
      // MSG_WAITALL: the kernel goes on after a partial write, without a turn of ours between.
      io_uring_prep_sendmsg(sqe, stream->fd.get(), &stream->message, MSG_NOSIGNAL | MSG_WAITALL);
    });
    return;
  }
  stream->reporting = true;
  stream->write_error = error;
  if (reports_.empty()) loop_->Defer([this] { ReportWrites(); });
  reports_.push_back(id);
}

void UringIoImpl::AttachFds(Stream& stream, std::span<const int> fds) {
  stream.message.msg_control = stream.control.data();
  stream.message.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&stream.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
}

void UringIoImpl::ReportWrites() {
  reporting_.swap(reports_);
  for (const StreamId id : reporting_) {
    Stream& stream = *streams_.at(id);  // which a write without a report keeps alive
    ReportSent(stream, stream.write_error);
  }
  reporting_.clear();
}

// Leaves in the message what has not been written; false: nothing.
bool UringIoImpl::SkipWritten(Stream& stream) {
  size_t left = stream.written;
  msghdr& message = stream.message;
  while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
    left -= message.msg_iov->iov_len;
    ++message.msg_iov;
    --message.msg_iovlen;
  }
  if (message.msg_iovlen == 0) return false;
  message.msg_iov->iov_base = static_cast<std::byte*>(message.msg_iov->iov_base) + left;
  message.msg_iov->iov_len -= left;
  return true;
}

void UringIoImpl::OnSend(Stream& stream, const Completion& completion) {
  int error = 0;
  if (completion.result >= 0) {
    stream.written += static_cast<size_t>(completion.result);
  } else if (completion.result != -EINTR && completion.result != -EAGAIN) {
    error = -completion.result;
  }
  ReportSent(stream, error);
}

void UringIoImpl::ReportSent(Stream& stream, int error) {
  stream.sending = stream.reporting = false;
  if (stream.closing) {
    FinishIfIdle(stream);
  } else {
    stream.handler->OnSent(error == 0 ? stream.written : 0, error);
  }
}

void UringIoImpl::Close(StreamId id) {
  if (Stream* stream = FindStream(id)) BeginClose(*stream, 0);
}

void UringIoImpl::BeginClose(Stream& stream, int error) {
  if (stream.closing) return;
  stream.closing = true;
  stream.close_error = error;
  CancelReceive(stream);
  if (stream.connecting) ring_.QueueCancel(Op::kConnect, stream.id);
  if (stream.sending && !stream.reporting) ring_.QueueCancel(Op::kSend, stream.id);
  FinishIfIdle(stream);
}

void UringIoImpl::FinishIfIdle(Stream& stream) {
  if (!stream.closing || stream.in_flight() || stream.finishing) return;
  stream.finishing = true;
  loop_->Defer([this, id = stream.id] { Finish(id); });
}

void UringIoImpl::Finish(StreamId id) {
  const std::unique_ptr<Stream> stream = std::move(streams_.extract(id).mapped());
  stream->fd.Reset();
  // A connection that was refused has no handler.
  if (stream->handler != nullptr) stream->handler->OnClosed(stream->close_error);
}

absl::StatusOr<ucred> UringIoImpl::PeerCredentials(StreamId id) {
  const Stream* stream = FindStream(id);
  if (stream == nullptr) return absl::NotFoundError("the stream is gone");
  if (!stream->is_unix) return absl::FailedPreconditionError("not a unix socket");
  ucred credentials;
  socklen_t bytes = sizeof credentials;
  if (getsockopt(stream->fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
    return base::ErrnoStatus(errno, "SO_PEERCRED");
  }
  return credentials;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UringIo>> UringIo::Create(const UringOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<UringLoop> loop,
                   UringLoop::Create(options.spin_us * TimeNs{1000}, options.cores_idle));
  return std::make_unique<UringIoImpl>(std::move(loop));
}

}  // namespace clustix::io
