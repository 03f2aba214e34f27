// SPDX-License-Identifier: Apache-2.0
//
// The serving side of the clustix peer: answers calls with their payload, counts one-way messages.
#include <cstring>

#include "lib/base/status.h"
#include "tests/bench/msg/clustix_node.h"

namespace clustix::bench {
namespace {

// The client dials. Should this node ask it to, there is nobody: the discard port.
constexpr const char* kNoAddress = "127.0.0.1:9";

class ClustixServer final : public Server {
 public:
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(node_, ClustixNode::Start(options, kServerNode, options.address,
                                               {.node = kClientNode, .address = kNoAddress}));
    Messenger& messenger = node_->messenger();
    messenger.Handle(kEchoPort, [&messenger](const Incoming& in) {
      messenger.Answer(in.from, in.lane, in.request, 0, in.payload);
    });
    messenger.Handle(kOnewayPort, [this](const Incoming&) { ++arrived_; });
    messenger.Handle(kArrivedPort, [this, &messenger](const Incoming& in) {
      const uint64_t arrived = std::exchange(arrived_, 0);
      messenger.Answer(in.from, in.lane, in.request, 0, std::as_bytes(std::span(&arrived, 1)));
    });
    messenger.Handle(kSystemCallsPort, [this, &messenger](const Incoming& in) {
      const uint64_t calls = SystemCallsOf(node_->io());
      messenger.Answer(in.from, in.lane, in.request, 0, std::as_bytes(std::span(&calls, 1)));
    });
    return messenger.address();
  }

  absl::Status Serve(int stop_fd) override {
    io::UringIo& io = node_->io();
    io.WatchFd(stop_fd, [&io] { io.Stop(); });
    io.Run();
    io.UnwatchFd(stop_fd);
    node_.reset();
    return absl::OkStatus();
  }

 private:
  std::unique_ptr<ClustixNode> node_;
  uint64_t arrived_ = 0;
};

}  // namespace

std::unique_ptr<Server> MakeClustixServer() { return std::make_unique<ClustixServer>(); }

}  // namespace clustix::bench
