// SPDX-License-Identifier: Apache-2.0
//
// A node in user space that serves and asks for what kmod/sample does in the kernel, so that tests
// can let the two transports talk: an echo at port 7, a counter at port 8. Commands come over
// standard input:
//
//   echo NODE LANE BYTES COUNT   COUNT calls, one after the other
//   count NODE LANE FIRST LAST   the numbers FIRST to LAST, one a message
//   counts                       what has come, a line each
//
// Several may run at a time. Each ends with its first words, "echo NODE LANE", and "done", a count
// when all is accepted, or "failed: WHY".
//
//   kccm-user-node NODE ADDRESS PEER=ADDRESS...
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clustix/node.h"

namespace clustix::vm {
namespace {

// Of kmod/sample/kccm_sample.c.
constexpr Port kEchoPort = 7;
constexpr Port kCounterPort = 8;
// Longer than a machine takes to boot on one that is busy: what becomes of a call to it then is for
// the session to find out, and not for the clock.
constexpr uint64_t kCallTimeoutMs = 600'000;
// Of kccm_config.c.
constexpr uint8_t kClusterByte = 0x77;
constexpr uint8_t kKeyByte = 'k';

struct Received {
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
    unsigned to = 0, lane = 0;
    uint64_t first = 0, second = 0;
    words >> what >> to >> lane >> first >> second;
    auto task = std::make_shared<Task>();
    task->name = what + " " + std::to_string(to) + " " + std::to_string(lane);
    task->to = static_cast<NodeId>(to);
    task->lane = static_cast<Lane>(lane);
    if (what == "echo") {
      task->request.resize(first);
      task->left = second;
      Echo(task);
    } else if (what == "count") {
      task->next = first;
      task->last = second;
      counting_.push_back(task);
      Pump();
    } else {
      for (const auto& [from, count] : counts_) {
        Say("node " + std::to_string(from.first) + " lane " + std::to_string(from.second) +
            " received " + std::to_string(count.received) + " last " + std::to_string(count.last) +
            " wrong " + std::to_string(count.wrong));
      }
      Say("counts done");
    }
  }

 private:
  void Counted(const Incoming& in) {
    Received& count = counts_[{in.from, static_cast<int>(in.lane)}];
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

  // A command that runs.
  struct Task {
    std::string name;
    NodeId to;
    Lane lane;
    std::vector<std::byte> request;  // of an echo
    uint64_t left = 0;
    uint64_t next = 1, last = 0;  // of a count
  };

  static void End(const Task& task, Outcome outcome) {
    Say(task.name +
        (outcome == Outcome::kOk ? " done" : std::string(" failed: ") + OutcomeName(outcome)));
  }

  void Echo(const std::shared_ptr<Task>& task) {
    if (task->left == 0) return End(*task, Outcome::kOk);
    --task->left;
    std::fill(task->request.begin(), task->request.end(), static_cast<std::byte>(task->left));
    const CallOptions options{.lane = task->lane, .timeout_ms = kCallTimeoutMs};
    const Outcome outcome = messenger_.Call(
        task->to, kEchoPort, task->request, options, [this, task](const Reply& reply) {
          if (reply.outcome != Outcome::kOk) {
            End(*task, reply.outcome);
          } else if (!std::equal(reply.payload.begin(), reply.payload.end(), task->request.begin(),
                                 task->request.end())) {
            Say(task->name + " failed: another answer");
          } else {
            Echo(task);
          }
        });
    if (outcome == Outcome::kBusy) {
      ++task->left;
      calling_.push_back(task);
    } else if (outcome != Outcome::kOk) {
      End(*task, outcome);
    }
  }

  // Goes on with what waited for room.
  void Pump() {
    for (const std::shared_ptr<Task>& task : std::exchange(calling_, {})) Echo(task);
    std::erase_if(counting_, [this](const std::shared_ptr<Task>& task) { return Count(task); });
  }

  // Whether it needs no more room.
  bool Count(const std::shared_ptr<Task>& task) {
    for (; task->next <= task->last; ++task->next) {
      Messenger::SentCallback done;
      if (task->next == task->last) done = [task](Outcome outcome) { End(*task, outcome); };
      const Outcome outcome =
          messenger_.Send(task->to, kCounterPort, std::as_bytes(std::span(&task->next, 1)),
                          task->lane, std::move(done));
      if (outcome == Outcome::kBusy) return false;
      if (outcome != Outcome::kOk) {
        End(*task, outcome);
        return true;
      }
    }
    return true;
  }

  Messenger& messenger_;
  std::map<std::pair<NodeId, int>, Received> counts_;
  std::vector<std::shared_ptr<Task>> counting_, calling_;  // that wait for room
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
