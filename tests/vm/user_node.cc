// SPDX-License-Identifier: Apache-2.0
//
// A node in user space that serves and asks for what kmod/sample does in the kernel, so that tests
// can let the two transports talk: an echo at port 7, a counter at port 8. Commands come over
// standard input, and each is answered with a line:
//
//   echo NODE LANE BYTES COUNT   COUNT calls, one after the other          "echo done" or "failed:
//   WHY" count NODE LANE FIRST LAST   the numbers FIRST to LAST, one a message  "count done" when
//   accepted counts                       what has come                             a line each,
//   "counts done"
//
//   kccm-user-node NODE ADDRESS PEER=ADDRESS...
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "clustix/node.h"

namespace clustix::vm {
namespace {

// Of kmod/sample/kccm_sample.c.
constexpr Port kEchoPort = 7;
constexpr Port kCounterPort = 8;
constexpr uint64_t kCallTimeoutMs = 30'000;
// Of kccm_config.c.
constexpr uint8_t kClusterByte = 0x77;
constexpr uint8_t kKeyByte = 'k';

struct Count {
  uint64_t received = 0, last = 0, wrong = 0;
};

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// All of it belongs to the node's thread.
class UserNode {
 public:
  explicit UserNode(Node& node) : messenger_(node.messenger()) {
    messenger_.Handle(kEchoPort, [this](const Incoming& in) {
      if (in.wants_reply) messenger_.Answer(in.from, in.lane, in.request, 0, in.payload);
    });
    messenger_.Handle(kCounterPort, [this](const Incoming& in) { Counted(in); });
    messenger_.OnWritable([this](NodeId, Lane) { Pump(); });
    messenger_.OnEvent([](NodeId peer, PeerEvent event) {
      Say("peer " + std::to_string(peer) + ": " + PeerEventName(event));
    });
  }

  void Command(const std::string& line) {
    std::istringstream words(line);
    std::string what;
    unsigned lane = 0;
    words >> what;
    if (what == "echo" && words >> to_ >> lane >> bytes_ >> left_) {
      lane_ = static_cast<Lane>(lane);
      Echo();
    } else if (what == "count" && words >> to_ >> lane >> next_ >> last_) {
      lane_ = static_cast<Lane>(lane);
      Pump();
    } else if (what == "counts") {
      for (const auto& [from, count] : counts_) {
        Say("node " + std::to_string(from.first) + " lane " + std::to_string(from.second) +
            " received " + std::to_string(count.received) + " last " + std::to_string(count.last) +
            " wrong " + std::to_string(count.wrong));
      }
      Say("counts done");
    } else {
      Say("failed: not understood");
    }
  }

 private:
  void Counted(const Incoming& in) {
    Count& count = counts_[{in.from, static_cast<int>(in.lane)}];
    uint64_t number = 0;
    if (in.wants_reply) {
      messenger_.Answer(in.from, in.lane, in.request, 0,
                        std::as_bytes(std::span(&count.received, 1)));
    } else if (in.payload.size() >= sizeof(number)) {
      std::memcpy(&number, in.payload.data(), sizeof(number));
      count.wrong += number != count.last + 1;
      count.last = number;
      ++count.received;
    }
  }

  void Echo() {
    if (left_-- == 0) return Say("echo done");
    request_.assign(bytes_, static_cast<std::byte>(left_));
    const CallOptions options{.lane = lane_, .timeout_ms = kCallTimeoutMs};
    const Outcome outcome =
        messenger_.Call(to_, kEchoPort, request_, options, [this](const Reply& reply) {
          if (reply.outcome != Outcome::kOk) {
            Say(std::string("failed: ") + OutcomeName(reply.outcome));
          } else if (!std::equal(reply.payload.begin(), reply.payload.end(), request_.begin(),
                                 request_.end())) {
            Say("failed: another answer");
          } else {
            Echo();
          }
        });
    if (outcome != Outcome::kOk) Say(std::string("failed: ") + OutcomeName(outcome));
  }

  void Pump() {
    while (next_ <= last_) {
      Messenger::SentCallback done;
      if (next_ == last_) {
        done = [](Outcome outcome) {
          Say(outcome == Outcome::kOk ? "count done"
                                      : std::string("failed: ") + OutcomeName(outcome));
        };
      }
      const Outcome outcome = messenger_.Send(
          to_, kCounterPort, std::as_bytes(std::span(&next_, 1)), lane_, std::move(done));
      if (outcome == Outcome::kBusy) return;
      if (outcome != Outcome::kOk) return Say(std::string("failed: ") + OutcomeName(outcome));
      ++next_;
    }
  }

  Messenger& messenger_;
  std::map<std::pair<NodeId, int>, Count> counts_;
  // The command that runs.
  NodeId to_ = 0;
  Lane lane_ = Lane::kControl;
  size_t bytes_ = 0;
  uint64_t left_ = 0;
  uint64_t next_ = 1, last_ = 0;
  std::vector<std::byte> request_;
};

int Run(NodeId id, const std::string& address, std::vector<PeerAddress> peers) {
  NodeOptions options;
  options.node = id;
  options.cluster.fill(kClusterByte);
  options.key.fill(kKeyByte);
  options.listen_address = address;
  options.peers = std::move(peers);
  Result<std::unique_ptr<Node>> node = Node::Open(options);
  if (!node) {
    std::cerr << "kccm-user-node: " << node.error().message << '\n';
    return 1;
  }
  UserNode user(**node);
  Say("listening");
  std::thread commands([&] {
    std::string line;
    while (std::getline(std::cin, line)) (*node)->Post([&user, line] { user.Command(line); });
    (*node)->Stop();
  });
  (*node)->Run();
  commands.join();
  return 0;
}

}  // namespace
}  // namespace clustix::vm

int main(int argc, char** argv) {
  std::vector<clustix::PeerAddress> peers;
  for (int i = 3; i < argc; ++i) {
    const std::string peer = argv[i];
    const size_t equals = peer.find('=');
    peers.push_back({static_cast<clustix::NodeId>(std::stoi(peer)), peer.substr(equals + 1)});
  }
  if (peers.empty()) {
    std::cerr << "usage: kccm-user-node NODE ADDRESS PEER=ADDRESS...\n";
    return 2;
  }
  return clustix::vm::Run(static_cast<clustix::NodeId>(std::stoi(argv[1])), argv[2],
                          std::move(peers));
}
