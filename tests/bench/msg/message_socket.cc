// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/message_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/status.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/raw_frame.h"

namespace clustix::bench {
namespace {

using base::UniqueFd;

constexpr size_t kBatch = 64;  // the most
constexpr size_t kLargestFrame = sizeof(FrameHeader) + (size_t{64} << 10);

bool WouldBlock(int error) { return error == EAGAIN || error == ENOBUFS; }

absl::Status SetNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return base::ErrnoStatus(errno, "fcntl");
  }
  return absl::OkStatus();
}

// Waits until the socket can be read, or written if that is wanted. False: `stop_fd` is readable.
absl::StatusOr<bool> Await(int fd, bool write, int stop_fd = -1) {
  std::array<pollfd, 2> fds = {
      {{fd, static_cast<short>(POLLIN | (write ? POLLOUT : 0)), 0}, {stop_fd, POLLIN, 0}}};
  while (poll(fds.data(), fds.size(), -1) < 0) {
    if (errno != EINTR) return base::ErrnoStatus(errno, "poll");
  }
  return fds[1].revents == 0;
}

void SetVec(msghdr& message, iovec& vec) {
  message.msg_iov = &vec;
  message.msg_iovlen = 1;
}

// A batch of messages that are received, with room for the largest.
class Inbox {
 public:
  explicit Inbox(size_t frame_bytes) : memory_(kBatch * frame_bytes) {
    for (size_t i = 0; i < kBatch; ++i) {
      vecs_[i] = {memory_.data() + i * frame_bytes, frame_bytes};
      SetVec(messages_[i].msg_hdr, vecs_[i]);
      messages_[i].msg_hdr.msg_name = &names_[i];
    }
  }
  // How many there were; 0: none, or the connection has ended.
  absl::StatusOr<size_t> Receive(int fd) {
    for (mmsghdr& message : messages_) message.msg_hdr.msg_namelen = sizeof(names_[0]);
    const int count = recvmmsg(fd, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno == EINTR || WouldBlock(errno)) return size_t{0};
    return base::ErrnoStatus(errno, "recvmmsg");
  }
  std::span<std::byte> operator[](size_t i) {
    return {static_cast<std::byte*>(vecs_[i].iov_base), messages_[i].msg_len};
  }
  const msghdr& From(size_t i) const { return messages_[i].msg_hdr; }

 private:
  std::vector<std::byte> memory_;
  std::array<sockaddr_storage, kBatch> names_ = {};
  std::array<iovec, kBatch> vecs_ = {};
  std::array<mmsghdr, kBatch> messages_ = {};
};

// --- the server ---------------------------------------------------------------------------------

class MessageServer final : public Server {
 public:
  explicit MessageServer(MessageFamily family) : family_(std::move(family)) {}

  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(listener_, family_.listen(options.address));
    return family_.address_of(listener_.get());
  }

  absl::Status Serve(int stop_fd) override {
    if (!family_.accepts) {
      RETURN_IF_ERROR(SetNonBlocking(listener_.get()));
      return ServeUntil(listener_.get(), stop_fd).status();
    }
    for (;;) {
      ASSIGN_OR_RETURN(const bool goes_on, Await(listener_.get(), false, stop_fd));
      if (!goes_on) return absl::OkStatus();
      const UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd.valid()) return base::ErrnoStatus(errno, "accept");
      ASSIGN_OR_RETURN(const bool ended, ServeUntil(fd.get(), stop_fd));
      if (!ended) return absl::OkStatus();
    }
  }

 private:
  // What is to be sent, to whom; nothing more is received while something waits.
  struct Answer {
    std::vector<std::byte> frame;
    sockaddr_storage to;
    socklen_t to_bytes;
  };

  // True: the client has gone. False: it is time to stop.
  absl::StatusOr<bool> ServeUntil(int fd, int stop_fd) {
    answers_.clear();
    for (;;) {
      ASSIGN_OR_RETURN(const bool goes_on, Await(fd, !answers_.empty(), stop_fd));
      if (!goes_on) return false;
      RETURN_IF_ERROR(Flush(fd));
      if (!answers_.empty()) continue;
      const absl::StatusOr<size_t> count = inbox_.Receive(fd);
      if (!count.ok() || (*count > 0 && inbox_[0].empty())) return true;
      for (size_t i = 0; i < *count; ++i) Take(i);
      RETURN_IF_ERROR(Flush(fd));
    }
  }

  void Take(size_t i) {
    const std::span<std::byte> frame = inbox_[i];
    if (frame.size() < sizeof(FrameHeader)) return;
    const FrameHeader header = LoadHeader(frame.data());
    if (KindOf(header) == FrameKind::kOneway) {
      ++oneway_;
      return;
    }
    Answer& answer = answers_.emplace_back();
    answer.frame.assign(frame.begin(), frame.end());
    if (KindOf(header) == FrameKind::kEnd) {
      answer.frame.resize(sizeof(FrameHeader) + kEndPayload);
      std::memcpy(answer.frame.data() + sizeof(FrameHeader), &oneway_, kEndPayload);
      oneway_ = 0;
    }
    const msghdr& from = inbox_.From(i);
    answer.to_bytes = from.msg_namelen;
    std::memcpy(&answer.to, from.msg_name, from.msg_namelen);
  }

  absl::Status Flush(int fd) {
    while (!answers_.empty()) {
      std::array<iovec, kBatch> vecs;
      std::array<mmsghdr, kBatch> messages = {};
      const size_t batch = std::min(family_.batch, answers_.size());
      for (size_t i = 0; i < batch; ++i) {
        Answer& answer = answers_[i];
        vecs[i] = {answer.frame.data(), answer.frame.size()};
        SetVec(messages[i].msg_hdr, vecs[i]);
        if (family_.accepts) continue;
        messages[i].msg_hdr.msg_name = &answer.to;
        messages[i].msg_hdr.msg_namelen = answer.to_bytes;
      }
      const int sent = sendmmsg(fd, messages.data(), static_cast<unsigned>(batch), 0);
      if (sent < 0 && (errno == EINTR || WouldBlock(errno))) return absl::OkStatus();
      if (sent < 0) return base::ErrnoStatus(errno, "sendmmsg");
      answers_.erase(answers_.begin(), answers_.begin() + sent);
    }
    return absl::OkStatus();
  }

  const MessageFamily family_;
  UniqueFd listener_;
  Inbox inbox_{kLargestFrame};
  std::deque<Answer> answers_;
  uint64_t oneway_ = 0;
};

// --- the client ---------------------------------------------------------------------------------

class MessageClient final : public Client {
 public:
  explicit MessageClient(MessageFamily family) : family_(std::move(family)) {}

  absl::Status Connect(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(fd_, family_.connect(options.address));
    return SetNonBlocking(fd_.get());
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    const size_t frame_bytes = sizeof(FrameHeader) + what.size_bytes;
    if (frame_bytes > kLargestFrame) {
      return absl::InvalidArgumentError("a message of this family has at most 64 KiB");
    }
    outgoing_.assign(kBatch * frame_bytes, std::byte{0x5a});
    return what.mode == Mode::kOneway ? Stream(frame_bytes, meter)
                                      : Calls(frame_bytes, WindowOf(what), meter);
  }

 private:
  // Sends up to `count` messages of this kind, which are numbered from `first` on; how many went.
  absl::StatusOr<size_t> Send(FrameKind kind, size_t frame_bytes, uint32_t first, size_t count) {
    std::array<iovec, kBatch> vecs;
    std::array<mmsghdr, kBatch> messages = {};
    count = std::min(count, family_.batch);
    for (size_t i = 0; i < count; ++i) {
      std::byte* frame = outgoing_.data() + i * frame_bytes;
      StoreHeader(frame, MakeHeader(kind, frame_bytes - sizeof(FrameHeader),
                                    first + static_cast<uint32_t>(i)));
      vecs[i] = {frame, frame_bytes};
      SetVec(messages[i].msg_hdr, vecs[i]);
    }
    const int sent = sendmmsg(fd_.get(), messages.data(), static_cast<unsigned>(count), 0);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EINTR || WouldBlock(errno)) return size_t{0};
    return base::ErrnoStatus(errno, "sendmmsg");
  }

  absl::Status Calls(size_t frame_bytes, size_t window, Meter& meter) {
    uint32_t next = 0, answered = 0;
    std::vector<uint64_t> begins(window);  // by number modulo the window
    for (;;) {
      // Sampled when they are sent: one that is not taken has begun nothing.
      while (next - answered < window && meter.running()) {
        const size_t wanted = window - (next - answered);
        const uint64_t begin = meter.Begin();
        ASSIGN_OR_RETURN(const size_t sent, Send(FrameKind::kRequest, frame_bytes, next, wanted));
        if (sent == 0) break;
        for (size_t i = 0; i < sent; ++i) begins[(next + i) % window] = i == 0 ? begin : 0;
        next += static_cast<uint32_t>(sent);
      }
      if (next == answered) return absl::OkStatus();
      RETURN_IF_ERROR(Await(fd_.get(), false).status());
      ASSIGN_OR_RETURN(const size_t count, inbox_.Receive(fd_.get()));
      for (size_t i = 0; i < count; ++i, ++answered) {
        RETURN_IF_ERROR(Check(inbox_[i], FrameKind::kRequest, frame_bytes, answered));
        meter.End(begins[answered % window]);
      }
    }
  }

  absl::Status Stream(size_t frame_bytes, Meter& meter) {
    uint32_t sent = 0;
    while (meter.running()) {
      ASSIGN_OR_RETURN(const size_t count, Send(FrameKind::kOneway, frame_bytes, sent, kBatch));
      if (count == 0) RETURN_IF_ERROR(AwaitRoom());
      sent += static_cast<uint32_t>(count);
    }
    constexpr size_t kEndBytes = sizeof(FrameHeader) + kEndPayload;
    outgoing_.resize(std::max(outgoing_.size(), kEndBytes));
    for (size_t asked = 0; asked == 0;) {
      ASSIGN_OR_RETURN(asked, Send(FrameKind::kEnd, kEndBytes, sent, 1));
      if (asked == 0) RETURN_IF_ERROR(AwaitRoom());
    }
    for (size_t answers = 0; answers == 0;) {
      RETURN_IF_ERROR(Await(fd_.get(), false).status());
      ASSIGN_OR_RETURN(answers, inbox_.Receive(fd_.get()));
    }
    RETURN_IF_ERROR(Check(inbox_[0], FrameKind::kEnd, kEndBytes, sent));
    uint64_t counted = 0;
    std::memcpy(&counted, inbox_[0].data() + sizeof(FrameHeader), kEndPayload);
    RETURN_IF_ERROR(CheckCount(counted, sent));
    meter.End(0, sent);
    return absl::OkStatus();
  }

  absl::Status AwaitRoom() {
    pollfd entry = {fd_.get(), POLLOUT, 0};
    if (poll(&entry, 1, kPatienceMs) == 1) return absl::OkStatus();
    return absl::DeadlineExceededError("the socket takes no more messages");
  }

  static absl::Status Check(std::span<const std::byte> frame, FrameKind kind, size_t expected_bytes,
                            uint32_t number) {
    if (frame.empty()) return absl::UnavailableError("the server has gone");
    if (frame.size() == expected_bytes) {
      const FrameHeader header = LoadHeader(frame.data());
      if (KindOf(header) == kind && header.id == number) return absl::OkStatus();
    }
    return WrongEcho(frame.size(), expected_bytes, number);
  }

  const MessageFamily family_;
  UniqueFd fd_;
  std::vector<std::byte> outgoing_;
  Inbox inbox_{kLargestFrame};
};

}  // namespace

Peer MessageSocketPeer(const std::string& name, const std::string& title,
                       const MessageFamily& family) {
  return {.name = name,
          .title = title,
          .modes = {Mode::kSync, Mode::kAsync, Mode::kOneway},
          .make_server = [family] { return std::make_unique<MessageServer>(family); },
          .make_client = [family] { return std::make_unique<MessageClient>(family); }};
}

}  // namespace clustix::bench
