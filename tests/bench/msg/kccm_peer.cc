// SPDX-License-Identifier: Apache-2.0
//
// The peer `kccm`: the kernel module on both nodes, with a server in user space that answers
// through the ring.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "lib/base/status.h"
#include "tests/bench/msg/kccm_client.h"
#include "tests/bench/msg/kccm_port.h"

namespace clustix::bench {
namespace {

constexpr unsigned kEntries = 1024;
constexpr uint32_t kBatch = 256;
enum Event : uint64_t { kEcho, kCounter, kStop, kPumped, kReply };

class KccmServer final : public Server {
 public:
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(uring_, KccmUring::Make(kEntries));
    ASSIGN_OR_RETURN(echo_, KccmPort::Bind(*uring_, kInUserSpace.echo_port));
    ASSIGN_OR_RETURN(counter_, KccmPort::Bind(*uring_, kInUserSpace.counter_port));
    return options.address;
  }

  absl::Status Serve(int stop_fd) override {
    uring_->QueuePoll(echo_->fd(), POLLIN, kEcho);
    uring_->QueuePoll(counter_->fd(), POLLIN, kCounter);
    uring_->QueuePoll(stop_fd, POLLIN, kStop);
    while (!stopped_) {
      RETURN_IF_ERROR(uring_->Submit(1));
      Reap();
      RETURN_IF_ERROR(Answer(*echo_, [this](const kccm_uring_descriptor& at) {
        return std::pair(echo_->Payload(at), at.length);
      }));
      RETURN_IF_ERROR(Answer(*counter_, [this](const kccm_uring_descriptor&) {
        return std::pair(reinterpret_cast<const char*>(&counted_),
                         static_cast<uint32_t>(sizeof(counted_)));
      }));
    }
    return absl::OkStatus();
  }

 private:
  void Reap() {
    uring_->Reap([this](uint64_t event, int result, bool more) {
      if (event == kStop) stopped_ = true;
      if (event == kEcho && !more) uring_->QueuePoll(echo_->fd(), POLLIN, kEcho);
      if (event == kCounter && !more) uring_->QueuePoll(counter_->fd(), POLLIN, kCounter);
      if (event >= kReply && result == -EAGAIN) refused_.push_back(event - kReply);
    });
  }

  // Answers the calls that have come with what `payload_of` says, and counts the rest.
  template <typename PayloadOf>
  absl::Status Answer(KccmPort& port, const PayloadOf& payload_of) {
    for (uint32_t left = port.available(); left > 0; left = port.available()) {
      const uint32_t batch = std::min(left, kBatch);
      uint32_t replies = 0;
      for (uint32_t i = 0; i < batch; ++i) {
        const kccm_uring_descriptor& at = port.At(i);
        if ((at.flags & KCCM_MESSAGE_WANTS_REPLY) == 0) {
          ++counted_;
          continue;
        }
        const auto [payload, length] = payload_of(at);
        replies_[i] = {.request = at.request,
                       .payload = reinterpret_cast<uint64_t>(payload),
                       .length = length,
                       .status = 0,
                       .flags = 0,
                       .zero = 0};
        Reply(port, i);
        ++replies;
      }
      if (replies > 0) RETURN_IF_ERROR(Settle(port));
      if (port.Consume(batch)) {
        uring_->Queue(port.fd(), KCCM_URING_PUMP, nullptr, 0, kPumped, /*quiet=*/true);
        RETURN_IF_ERROR(uring_->Submit(0));
      }
    }
    return absl::OkStatus();
  }

  void Reply(KccmPort& port, uint64_t i) { uring_->QueueReply(port.fd(), replies_[i], kReply + i); }

  // Replies are taken as they are submitted, or there is no room for them.
  absl::Status Settle(KccmPort& port) {
    for (;;) {
      RETURN_IF_ERROR(uring_->Submit(0));
      Reap();
      if (refused_.empty()) return absl::OkStatus();
      pollfd room = {port.fd(), POLLOUT, 0};
      if (poll(&room, 1, -1) < 0 && errno != EINTR) return base::ErrnoStatus(errno, "poll");
      for (uint64_t i : std::exchange(refused_, {})) Reply(port, i);
    }
  }

  std::unique_ptr<KccmUring> uring_;
  std::unique_ptr<KccmPort> echo_, counter_;
  std::array<kccm_uring_reply, kBatch> replies_ = {};
  std::vector<uint64_t> refused_;
  uint64_t counted_ = 0;
  bool stopped_ = false;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "kccm";
  peer.title = "kccm.ko, served by a program";
  peer.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway};
  peer.make_server = [] { return std::make_unique<KccmServer>(); };
  peer.make_client = [] { return MakeKccmClient(kInUserSpace); };
  return PeerMain(argc, argv, peer);
}
