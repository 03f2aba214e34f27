// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/msg/messenger_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "lib/base/system_random.h"
#include "lib/msg/kccm_messenger.h"

namespace clustix::msg {
namespace {

constexpr uint64_t kDeadlineNs = 60'000'000'000;

// Finds a free port of the loopback by binding it for a moment.
class NullListener : public io::ListenHandler {
 public:
  io::StreamHandler* OnAccept(io::StreamId, const std::string&) override { return nullptr; }
};

std::string NamespaceFile(int number) { return "/run/netns/n" + std::to_string(number); }

void Enter(const base::UniqueFd& name_space) {
  ASSERT_EQ(setns(name_space.get(), CLONE_NEWNET), 0);
}

base::UniqueFd Open(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(fd.valid()) << path;
  return fd;
}

}  // namespace

std::vector<Transports> TransportsHere() {
  if (access("/dev/kccm", F_OK) != 0 || access(NamespaceFile(2).c_str(), F_OK) != 0) {
    return {Transports{}};
  }
  return {{.module_1 = true, .module_2 = true},
          {.module_1 = true, .module_2 = false},
          {.module_1 = false, .module_2 = true}};
}

std::string NameOf(const Transports& transports) {
  const auto one = [](bool module) { return module ? "module" : "user_space"; };
  return std::string(one(transports.module_1)) + "_and_" + one(transports.module_2);
}

// The thread stays in the namespace of the nodes in user space, for their sockets are made later.
void MessengerFixture::SetUp() {
  auto io = io::UringIo::Create();
  ASSERT_TRUE(io.ok()) << io.status();
  io_ = *std::move(io);
  if (!transports_.user_space()) {
    home_ = Open("/proc/thread-self/ns/net");
    for (int number : {1, 2}) namespaces_[number] = Open(NamespaceFile(number));
    const int user = transports_.module_1 ? 2 : 1;
    Enter(namespaces_[user]);
    static int port = 21'000;  // each test has its own
    for (NodeId node = 1; node <= 3; ++node) {
      const int where = transports_.module(node) ? node : node == 3 ? user : node;
      addresses_[node] = "10.9.0." + std::to_string(where) + ":" + std::to_string(port++);
    }
    return;
  }
  // An address of this process's own: on 127.0.0.1, somebody else could take a port that is free
  // again before it is listened at.
  const pid_t pid = getpid();
  const std::string own = "127." + std::to_string(64 + (pid >> 16)) + "." +
                          std::to_string(pid >> 8 & 255) + "." + std::to_string(pid & 255);
  NullListener null_listener;
  for (NodeId node = 1; node <= 3; ++node) {
    auto listener = io_->Listen(own + ":0", {}, &null_listener);
    ASSERT_TRUE(listener.ok()) << listener.status();
    addresses_[node] = io_->LocalAddress(*listener);
    io_->CloseListener(*listener);
  }
  Turn();  // the ports are free again
}

void MessengerFixture::TearDown() {
  nodes_.clear();
  EXPECT_TRUE(RunUntil([&] {
    for (const auto& [node, count] : unclosed_) {
      if (count > 0) return false;
    }
    return true;
  }));
  if (home_.valid()) Enter(home_);
}

MessengerConfig MessengerFixture::Config(NodeId self, const std::vector<NodeId>& peers) {
  MessengerConfig config = {};
  config.node = self;
  config.listen_address = addresses_[self];
  config.cluster.fill(0xc1);
  config.key.fill(0x5e);
  config.incarnation = base::RandomId();
  for (const NodeId peer : peers) config.peers.push_back({peer, addresses_[peer]});
  return config;
}

std::unique_ptr<Messenger> MessengerFixture::Make(const MessengerConfig& config,
                                                  std::function<void()> closed) {
  if (!transports_.module(config.node)) {
    auto messenger = StartSessionMessenger(*io_, config, SystemRandom(), std::move(closed));
    EXPECT_TRUE(messenger.ok()) << messenger.status();
    return messenger.ok() ? *std::move(messenger) : nullptr;
  }
  const base::UniqueFd here = Open("/proc/thread-self/ns/net");
  Enter(namespaces_[config.node]);
  auto started = StartKccmMessenger(*io_, config, {kPort}, std::move(closed));
  Enter(here);
  EXPECT_TRUE(started.ok()) << started.status();
  return started.ok() ? std::move(started->messenger) : nullptr;
}

Messenger& MessengerFixture::Start(const MessengerConfig& config) {
  const NodeId node = config.node;
  ++unclosed_[node];
  nodes_[node] = Make(config, [this, node] { --unclosed_[node]; });
  return *nodes_[node];
}

void MessengerFixture::StartPair() {
  Start(Config(1, {2}));
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] {
    return StateOf(*nodes_[1], 2) == PeerState::kUp && StateOf(*nodes_[2], 1) == PeerState::kUp;
  }));
}

void MessengerFixture::End(NodeId node) {
  nodes_.erase(node);
  ASSERT_TRUE(RunUntil([&] { return unclosed_[node] == 0; }));
}

void MessengerFixture::Turn() {
  io_->loop().RunAt(io_->loop().Now() + 10'000'000, [this] { io_->Stop(); });
  io_->Run();
}

bool MessengerFixture::RunUntil(const std::function<bool()>& done) {
  const io::TimeNs deadline = io_->loop().Now() + kDeadlineNs;
  bool reached = done();
  std::function<void()> look = [&] {
    reached = done();
    if (reached || io_->loop().Now() > deadline) {
      io_->Stop();
    } else {
      io_->loop().RunAt(io_->loop().Now() + 1'000'000, look);
    }
  };
  if (reached) return true;
  look();
  io_->Run();
  return reached;
}

PeerState MessengerFixture::StateOf(Messenger& messenger, NodeId peer) {
  for (const PeerInfo& info : messenger.Peers()) {
    if (info.node == peer) return info.state;
  }
  return PeerState::kDead;
}

uint64_t MessengerFixture::Counter(Messenger& messenger, const std::string& name) {
  for (const MessengerCounter& counter : messenger.Counters()) {
    if (counter.name == name) return counter.value;
  }
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

}  // namespace clustix::msg
