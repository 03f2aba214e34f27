// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/soak_server.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "lib/base/status.h"
#include "tests/bench/msg/soak_stream.h"

namespace clustix::bench {
namespace {

// The client dials: nobody listens there.
constexpr const char* kNoAddress = "127.0.0.1:9";

class SoakNode {
 public:
  static absl::StatusOr<std::unique_ptr<SoakNode>> Start(io::UringIo& io,
                                                         const PeerOptions& options, NodeId self,
                                                         std::function<void()> closed) {
    auto node = std::make_unique<SoakNode>();
    msg::MessengerConfig config = MakeConfig(options, self, options.address);
    config.peers = {{.node = kClientNode, .address = kNoAddress}};
    ASSIGN_OR_RETURN(node->messenger_, msg::StartSessionMessenger(io, config, msg::SystemRandom(),
                                                                  std::move(closed)));
    node->Register();
    return node;
  }

  std::string address() const { return messenger_->address(); }

 private:
  void Register() {
    messenger_->Handle(kSoakOnewayPort, [this](const Incoming& in) {
      checkers_[StreamIndex(in.lane, false)].Receive(in.payload);
    });
    messenger_->Handle(kSoakCallPort, [this](const Incoming& in) {
      checkers_[StreamIndex(in.lane, true)].Receive(in.payload);
      if (holding_ && in.lane == Lane::kBulk) {
        held_.push_back({in.from, in.request, {in.payload.begin(), in.payload.end()}});
        return;
      }
      messenger_->Answer(in.from, in.lane, in.request, 0, in.payload);
    });
    messenger_->Handle(kSoakPagesPort, [this](const Incoming& in) {
      checkers_[kSoakPagesStream].ReceivePages(in.payload);
    });
    messenger_->Handle(kSoakHoldPort, [this](const Incoming& in) {
      holding_ = in.payload.size() == 1 && in.payload[0] == std::byte{1};
      if (!holding_) Release();
      messenger_->Answer(in.from, in.lane, in.request, 0, {});
    });
    messenger_->Handle(kSoakCountsPort, [this](const Incoming& in) {
      SoakCounts counts;
      for (size_t i = 0; i < kSoakStreams; ++i) counts[i] = checkers_[i].counts();
      messenger_->Answer(in.from, in.lane, in.request, 0, std::as_bytes(std::span(counts)));
    });
  }

  void Release() {
    for (const HeldCall& call : std::exchange(held_, {})) {
      messenger_->Answer(call.from, Lane::kBulk, call.request, 0, call.payload);
    }
  }

  // An unanswered call keeps its credit, so that what is held is bounded by the session's window.
  struct HeldCall {
    NodeId from;
    uint64_t request;
    std::vector<std::byte> payload;
  };

  std::unique_ptr<Messenger> messenger_;
  std::array<StreamChecker, kSoakStreams> checkers_;
  bool holding_ = false;
  std::vector<HeldCall> held_;
};

}  // namespace

absl::Status ServeSoak(const PeerOptions& options, int first_node, int nodes) {
  ASSIGN_OR_RETURN(std::unique_ptr<io::UringIo> io, MakeLoop(options));
  std::vector<std::unique_ptr<SoakNode>> servers;
  std::vector<std::string> addresses;
  int open = nodes;
  for (int i = 0; i < nodes; ++i) {
    ASSIGN_OR_RETURN(
        servers.emplace_back(),
        SoakNode::Start(*io, options, static_cast<NodeId>(first_node + i), [&open, &io] {
          if (--open == 0) io->Stop();
        }));
    addresses.push_back(servers.back()->address());
  }
  std::printf("listening %s\n", absl::StrJoin(addresses, ",").c_str());
  std::fflush(stdout);
  io->WatchFd(STDIN_FILENO, [&io] {
    char bytes[64];
    if (read(STDIN_FILENO, bytes, sizeof(bytes)) <= 0) io->Stop();
  });
  io->Run();
  io->UnwatchFd(STDIN_FILENO);
  servers.clear();
  while (open > 0) io->Run();
  return absl::OkStatus();
}

}  // namespace clustix::bench
