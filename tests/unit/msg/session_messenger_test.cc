// SPDX-License-Identifier: Apache-2.0
// The messenger over real sockets on the loopback: what lib/session promises must reach its user.
// What faults do to it is the simulator's business (tests/sim).
#include "lib/msg/session_messenger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lib/base/system_random.h"
#include "lib/io/uring_io.h"
#include "lib/session/wire.h"

namespace clustix::msg {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Port kPort = 7;
constexpr uint64_t kDeadlineNs = 20'000'000'000;

Bytes AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Finds a free port of the loopback by binding it for a moment.
class NullListener : public io::ListenHandler {
 public:
  io::StreamHandler* OnAccept(io::StreamId, const std::string&) override { return nullptr; }
};

class SessionMessenger : public ::testing::Test {
 protected:
  void SetUp() override {
    auto io = io::UringIo::Create();
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = *std::move(io);
    for (NodeId node = 1; node <= 3; ++node) {
      auto listener = io_->Listen("127.0.0.1:0", {}, &null_listener_);
      ASSERT_TRUE(listener.ok()) << listener.status();
      addresses_[node] = io_->LocalAddress(*listener);
      io_->CloseListener(*listener);
    }
    Turn();  // the ports are free again
  }

  void TearDown() override {
    nodes_.clear();
    Turn();
  }

  // Lets the loop handle what has been closed.
  void Turn() {
    io_->loop().RunAt(io_->loop().Now() + 10'000'000, [this] { io_->Stop(); });
    io_->Run();
  }

  MessengerConfig Config(NodeId self, const std::vector<NodeId>& peers) {
    MessengerConfig config = {};
    config.node = self;
    config.listen_address = addresses_[self];
    config.cluster.fill(0xc1);
    config.key.fill(0x5e);
    config.incarnation = base::RandomId();
    for (const NodeId peer : peers) config.peers.push_back({peer, addresses_[peer]});
    return config;
  }

  Messenger& Start(const MessengerConfig& config) {
    auto messenger = StartSessionMessenger(*io_, config, SystemRandom());
    EXPECT_TRUE(messenger.ok()) << messenger.status();
    return *(nodes_[config.node] = *std::move(messenger));
  }

  // Turns the loop until `done`, which is asked every millisecond; false: it took too long.
  bool RunUntil(const std::function<bool()>& done) {
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

  PeerState StateOf(Messenger& messenger, NodeId peer) {
    for (const PeerInfo& info : messenger.Peers()) {
      if (info.node == peer) return info.state;
    }
    return PeerState::kDead;
  }

  void StartPair() {
    Start(Config(1, {2}));
    Start(Config(2, {1}));
    ASSERT_TRUE(RunUntil([&] {
      return StateOf(*nodes_[1], 2) == PeerState::kUp && StateOf(*nodes_[2], 1) == PeerState::kUp;
    }));
  }

  uint64_t Counter(Messenger& messenger, const std::string& name) {
    for (const MessengerCounter& counter : messenger.Counters()) {
      if (counter.name == name) return counter.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }

  NullListener null_listener_;
  std::unique_ptr<io::UringIo> io_;
  std::map<NodeId, std::string> addresses_;
  std::map<NodeId, std::unique_ptr<Messenger>> nodes_;
};

TEST_F(SessionMessenger, One_way_messages_arrive_in_order_and_are_reported) {
  StartPair();
  std::vector<std::string> arrived;
  nodes_[2]->Handle(kPort, [&](const Incoming& message) {
    EXPECT_EQ(message.from, 1);
    EXPECT_FALSE(message.wants_reply);
    arrived.push_back(AsText(message.payload));
  });
  int reported = 0;
  std::vector<std::string> sent;
  for (int i = 0; i < 1000; ++i) {
    sent.push_back("message " + std::to_string(i));
    ASSERT_EQ(nodes_[1]->Send(2, kPort, AsBytes(sent.back()), Lane::kControl,
                              [&](Outcome outcome) {
                                EXPECT_EQ(outcome, Outcome::kOk);
                                ++reported;
                              }),
              Outcome::kOk);
  }
  ASSERT_TRUE(RunUntil([&] { return reported == 1000; }));
  EXPECT_EQ(arrived, sent);
}

TEST_F(SessionMessenger, Large_messages_are_sent_in_place) {
  StartPair();
  std::vector<std::string> arrived;
  nodes_[2]->Handle(kPort,
                    [&](const Incoming& message) { arrived.push_back(AsText(message.payload)); });
  std::vector<std::string> sent;
  for (int i = 0; i < 30; ++i)
    sent.push_back(std::string(1 + i * 5000, static_cast<char>('a' + i)));
  std::vector<std::string> buffers = sent;
  int given_back = 0;
  for (std::string& buffer : buffers) {
    ASSERT_EQ(nodes_[1]->SendInPlace(2, kPort, AsBytes(buffer), Lane::kBulk,
                                     [&](Outcome outcome) {
                                       EXPECT_EQ(outcome, Outcome::kOk);
                                       buffer.assign(buffer.size(), '#');
                                       ++given_back;
                                     }),
              Outcome::kOk);
  }
  ASSERT_TRUE(RunUntil([&] { return given_back == 30; }));
  EXPECT_EQ(arrived, sent);
  EXPECT_EQ(nodes_[1]->SendInPlace(9, kPort, AsBytes(sent[0])), Outcome::kNoSuchPeer);
}

TEST_F(SessionMessenger, Every_buffer_comes_back_when_the_messenger_ends) {
  Start(Config(1, {2}));  // nobody answers
  const std::string buffer(100'000, 'x');
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(nodes_[1]->SendInPlace(2, kPort, AsBytes(buffer), Lane::kBulk,
                                     [&](Outcome outcome) { outcomes.push_back(outcome); }),
              Outcome::kOk);
  }
  nodes_.erase(1);
  EXPECT_EQ(outcomes, std::vector<Outcome>(3, Outcome::kNotDelivered));
}

TEST_F(SessionMessenger, A_node_that_listens_on_any_port_says_on_which) {
  MessengerConfig server = Config(2, {1});
  server.listen_address = "127.0.0.1:0";
  addresses_[2] = Start(server).address();
  EXPECT_THAT(addresses_[2], Not(EndsWith(":0")));
  EXPECT_EQ(Start(Config(1, {2})).address(), addresses_[1]);
  EXPECT_TRUE(RunUntil([&] { return StateOf(*nodes_[1], 2) == PeerState::kUp; }));
}

TEST_F(SessionMessenger, Calls_are_answered_inside_and_after_their_handler) {
  StartPair();
  std::vector<Incoming> waiting;
  nodes_[2]->Handle(kPort, [&](const Incoming& call) {
    if (AsText(call.payload) == "later") {
      waiting.push_back(call);
    } else {
      nodes_[2]->Answer(call.from, call.lane, call.request, 0, AsBytes("now"));
    }
  });
  std::vector<std::string> answers;
  const auto note = [&](const Reply& reply) {
    EXPECT_EQ(reply.outcome, Outcome::kOk);
    answers.push_back(AsText(reply.payload));
  };
  ASSERT_EQ(nodes_[1]->Call(2, kPort, AsBytes("later"), {}, note), Outcome::kOk);
  ASSERT_EQ(nodes_[1]->Call(2, kPort, AsBytes("at once"), {}, note), Outcome::kOk);
  ASSERT_TRUE(RunUntil([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers, ElementsAre("now"));
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(nodes_[2]->Answer(1, waiting[0].lane, waiting[0].request, 0, AsBytes("after")),
            Outcome::kOk);
  // An answer given twice is nobody's.
  EXPECT_EQ(nodes_[2]->Answer(1, waiting[0].lane, waiting[0].request, 0, AsBytes("again")),
            Outcome::kNotDelivered);
  ASSERT_TRUE(RunUntil([&] { return answers.size() == 2; }));
  EXPECT_EQ(answers[1], "after");
}

TEST_F(SessionMessenger, Each_end_of_a_call_has_its_own_outcome) {
  StartPair();
  nodes_[2]->Handle(kPort, [&](const Incoming& call) {
    if (AsText(call.payload) == "fail") {
      nodes_[2]->Answer(call.from, call.lane, call.request, 13, AsBytes("because"));
    }
  });
  std::vector<Outcome> outcomes;
  uint16_t status = 0;
  const auto note = [&](const Reply& reply) {
    outcomes.push_back(reply.outcome);
    status = std::max(status, reply.outcome == Outcome::kHandlerError ? reply.status : status);
  };
  const auto run = [&](Port port, const std::string& text, CallOptions options) {
    const size_t before = outcomes.size();
    EXPECT_EQ(nodes_[1]->Call(2, port, AsBytes(text), options, note), Outcome::kOk);
    EXPECT_TRUE(RunUntil([&] { return outcomes.size() > before; }));
  };
  run(kPort, "fail", {});
  run(kPort + 1, "nobody", {});
  run(kPort, "silence", {.timeout_ms = 50});
  EXPECT_THAT(outcomes,
              ElementsAre(Outcome::kHandlerError, Outcome::kNoSuchPort, Outcome::kDeadline));
  EXPECT_EQ(status, 13);

  EXPECT_EQ(nodes_[1]->Call(9, kPort, {}, {}, note), Outcome::kNoSuchPeer);
  EXPECT_EQ(nodes_[1]->Send(1, kPort, {}, Lane::kControl), Outcome::kNoSuchPeer);
  const std::string large(nodes_[1]->max_payload() + 1, 'x');
  EXPECT_EQ(nodes_[1]->Send(2, kPort, AsBytes(large), Lane::kBulk), Outcome::kTooLarge);
  EXPECT_EQ(outcomes.size(), 3u);
}

TEST_F(SessionMessenger, A_cancelled_call_stays_silent) {
  StartPair();
  int handled = 0;
  nodes_[2]->Handle(kPort, [&](const Incoming& call) {
    ++handled;
    nodes_[2]->Answer(call.from, call.lane, call.request, 0, {});
  });
  CallId id;
  bool cancelled_called = false, other_called = false;
  ASSERT_EQ(nodes_[1]->Call(
                2, kPort, {}, {}, [&](const Reply&) { cancelled_called = true; }, &id),
            Outcome::kOk);
  EXPECT_TRUE(nodes_[1]->Cancel(id));
  EXPECT_FALSE(nodes_[1]->Cancel(id));
  ASSERT_EQ(nodes_[1]->Call(2, kPort, {}, {}, [&](const Reply&) { other_called = true; }),
            Outcome::kOk);
  ASSERT_TRUE(RunUntil([&] { return other_called; }));
  EXPECT_EQ(handled, 2);
  EXPECT_FALSE(cancelled_called);
}

TEST_F(SessionMessenger, A_full_queue_says_busy_and_later_writable) {
  MessengerConfig sender = Config(1, {2});
  sender.queue_messages = 64;
  Start(sender);
  std::vector<Lane> writable;
  nodes_[1]->OnWritable([&](NodeId, Lane lane) { writable.push_back(lane); });
  int queued = 0;
  while (nodes_[1]->Send(2, kPort, AsBytes("x"), Lane::kBulk) == Outcome::kOk) ++queued;
  EXPECT_EQ(queued, 64);
  EXPECT_EQ(nodes_[1]->Send(2, kPort, AsBytes("x"), Lane::kBulk), Outcome::kBusy);
  int arrived = 0;
  Start(Config(2, {1})).Handle(kPort, [&](const Incoming&) { ++arrived; });
  ASSERT_TRUE(RunUntil([&] { return !writable.empty(); }));
  EXPECT_THAT(writable, ElementsAre(Lane::kBulk));
  ASSERT_TRUE(RunUntil([&] { return arrived == 64; }));
}

// More answers than the queue has room for: they wait, and all arrive.
TEST_F(SessionMessenger, Answers_wait_for_room) {
  MessengerConfig server = Config(2, {1});
  server.queue_messages = 4;
  Start(server);
  Start(Config(1, {2}));
  std::vector<Incoming> calls;
  nodes_[2]->Handle(kPort, [&](const Incoming& call) { calls.push_back(call); });
  int answered = 0;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(nodes_[1]->Call(2, kPort, {}, {},
                              [&](const Reply& reply) {
                                EXPECT_EQ(reply.outcome, Outcome::kOk);
                                EXPECT_EQ(reply.payload.size(), 10'000u);
                                ++answered;
                              }),
              Outcome::kOk);
  }
  ASSERT_TRUE(RunUntil([&] { return calls.size() == 100; }));
  const std::string large(10'000, 'a');
  for (const Incoming& call : calls) {
    ASSERT_EQ(nodes_[2]->Answer(1, call.lane, call.request, 0, AsBytes(large)), Outcome::kOk);
  }
  ASSERT_TRUE(RunUntil([&] { return answered == 100; }));
}

// Each queue is full of calls that wait for the other's credit, which only answers give back.
TEST_F(SessionMessenger, Two_nodes_whose_queues_are_full_of_calls_to_each_other_go_on) {
  constexpr int kCalls = 2000;
  std::map<NodeId, int> made, answered;
  const auto fill = [&](NodeId node) {
    const auto done = [&, node](const Reply& reply) {
      EXPECT_EQ(reply.outcome, Outcome::kOk);
      ++answered[node];
    };
    while (made[node] < kCalls &&
           nodes_[node]->Call(static_cast<NodeId>(3 - node), kPort, AsBytes("?"), {.timeout_ms = 0},
                              done) == Outcome::kOk) {
      ++made[node];
    }
  };
  for (const NodeId node : {1, 2}) {
    MessengerConfig config = Config(node, {static_cast<NodeId>(3 - node)});
    config.queue_messages = 64;
    config.window_messages = 8;
    Messenger& messenger = Start(config);
    messenger.Handle(kPort, [&, node](const Incoming& call) {
      fill(node);  // so that the answer finds no room
      nodes_[node]->Answer(call.from, call.lane, call.request, 0, AsBytes("!"));
    });
    messenger.OnWritable([&, node](NodeId, Lane) { fill(node); });
    fill(node);
  }
  ASSERT_TRUE(RunUntil([&] { return answered[1] == kCalls && answered[2] == kCalls; }))
      << answered[1] << " and " << answered[2];
}

TEST_F(SessionMessenger, An_answer_to_a_dead_caller_never_reaches_its_successor) {
  StartPair();
  std::vector<Incoming> calls;
  nodes_[2]->Handle(kPort, [&](const Incoming& call) { calls.push_back(call); });
  CallId first, second;
  ASSERT_EQ(nodes_[1]->Call(
                2, kPort, {}, {}, [](const Reply&) {}, &first),
            Outcome::kOk);
  ASSERT_TRUE(RunUntil([&] { return calls.size() == 1; }));
  nodes_[1].reset();
  Turn();
  Start(Config(1, {2}));
  std::vector<std::string> answers;
  ASSERT_EQ(nodes_[1]->Call(
                2, kPort, {}, {.timeout_ms = 0},
                [&](const Reply& reply) { answers.push_back(AsText(reply.payload)); }, &second),
            Outcome::kOk);
  ASSERT_EQ(first.request, second.request);
  ASSERT_TRUE(RunUntil([&] { return calls.size() == 2; }));
  EXPECT_EQ(nodes_[2]->Answer(1, calls[0].lane, calls[0].request, 0, AsBytes("to the dead")),
            Outcome::kNotDelivered);
  EXPECT_EQ(nodes_[2]->Answer(1, calls[1].lane, calls[1].request, 0, AsBytes("to the living")),
            Outcome::kOk);
  ASSERT_TRUE(RunUntil([&] { return !answers.empty(); }));
  EXPECT_THAT(answers, ElementsAre("to the living"));
}

TEST_F(SessionMessenger, The_longest_timeout_is_no_deadline) {
  StartPair();
  nodes_[2]->Handle(kPort, [&](const Incoming& call) {
    nodes_[2]->Answer(call.from, call.lane, call.request, 0, {});
  });
  for (const uint64_t timeout_ms : {UINT64_MAX, UINT64_MAX / 1'000'000, UINT64_MAX / 999'999}) {
    std::vector<Outcome> outcomes;
    ASSERT_EQ(nodes_[1]->Call(2, kPort, {}, {.timeout_ms = timeout_ms},
                              [&](const Reply& reply) { outcomes.push_back(reply.outcome); }),
              Outcome::kOk);
    ASSERT_TRUE(RunUntil([&] { return !outcomes.empty(); }));
    EXPECT_THAT(outcomes, ElementsAre(Outcome::kOk)) << timeout_ms;
  }
}

TEST_F(SessionMessenger, A_listener_may_add_listeners) {
  Start(Config(1, {2}));
  int heard_later = 0;
  nodes_[1]->OnEvent([&](NodeId, PeerEvent) {
    for (int i = 0; i < 100; ++i) nodes_[1]->OnEvent([&](NodeId, PeerEvent) { ++heard_later; });
  });
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] { return StateOf(*nodes_[1], 2) == PeerState::kUp; }));
  EXPECT_EQ(heard_later % 100, 0);
  nodes_[2].reset();
  ASSERT_TRUE(RunUntil([&] { return heard_later >= 100; }));
}

// Neither peer has a connection, so that each is gone as soon as it is removed.
TEST_F(SessionMessenger, A_callback_of_its_end_may_try_to_send_again) {
  Start(Config(1, {2, 3}));
  Messenger* const messenger = nodes_[1].get();
  std::map<NodeId, Outcome> again;
  for (const NodeId peer : {2, 3}) {
    ASSERT_EQ(messenger->Send(peer, kPort, {}, Lane::kControl,
                              [&, peer](Outcome outcome) {
                                EXPECT_EQ(outcome, Outcome::kNotDelivered);
                                again[peer] = messenger->Send(2, kPort, {}, Lane::kControl);
                              }),
              Outcome::kOk);
  }
  nodes_[1].reset();
  EXPECT_EQ(again[2], Outcome::kNoSuchPeer);
  EXPECT_EQ(again[3], Outcome::kNoSuchPeer);
}

TEST_F(SessionMessenger, The_largest_message_crosses_in_both_directions) {
  StartPair();
  std::string large(nodes_[1]->max_payload(), '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 >> 3);
  nodes_[2]->Handle(kPort, [&](const Incoming& call) {
    nodes_[2]->Answer(call.from, call.lane, call.request, 0, call.payload);
  });
  int right = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(nodes_[1]->Call(2, kPort, AsBytes(large), {.lane = Lane::kBulk},
                              [&](const Reply& reply) {
                                EXPECT_EQ(reply.outcome, Outcome::kOk);
                                if (AsText(reply.payload) == large) ++right;
                              }),
              Outcome::kOk);
  }
  ASSERT_TRUE(RunUntil([&] { return right == 5; }));
}

TEST_F(SessionMessenger, A_restarted_peer_is_reported_and_its_calls_are_unknown) {
  StartPair();
  std::vector<PeerEvent> events;
  nodes_[1]->OnEvent([&](NodeId, PeerEvent event) { events.push_back(event); });
  bool handled = false;
  nodes_[2]->Handle(kPort, [&](const Incoming&) { handled = true; });
  std::vector<Outcome> outcomes;
  ASSERT_EQ(nodes_[1]->Call(2, kPort, {}, {.timeout_ms = 0},
                            [&](const Reply& reply) { outcomes.push_back(reply.outcome); }),
            Outcome::kOk);
  ASSERT_TRUE(RunUntil([&] { return handled; }));
  nodes_[2].reset();
  Turn();
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] { return !outcomes.empty(); }));
  EXPECT_THAT(outcomes, ElementsAre(Outcome::kUnknown));
  ASSERT_TRUE(RunUntil([&] { return StateOf(*nodes_[1], 2) == PeerState::kUp; }));
  EXPECT_THAT(events, ::testing::Contains(PeerEvent::kRebooted));
}

TEST_F(SessionMessenger, Another_key_stays_outside_and_is_counted) {
  Start(Config(1, {2, 3}));
  MessengerConfig stranger = Config(3, {1});
  stranger.key.fill(0xbd);
  Start(stranger);
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] {
    return StateOf(*nodes_[1], 2) == PeerState::kUp &&
           Counter(*nodes_[1], "refused.proof") + Counter(*nodes_[3], "refused_by_peer.proof") > 0;
  }));
  EXPECT_NE(StateOf(*nodes_[1], 3), PeerState::kUp);
}

TEST_F(SessionMessenger, Its_end_settles_everything_that_is_pending) {
  StartPair();
  std::vector<Outcome> outcomes;
  ASSERT_EQ(nodes_[1]->Send(2, kPort, {}, Lane::kControl,
                            [&](Outcome outcome) { outcomes.push_back(outcome); }),
            Outcome::kOk);
  ASSERT_EQ(nodes_[1]->Call(2, kPort, {}, {},
                            [&](const Reply& reply) { outcomes.push_back(reply.outcome); }),
            Outcome::kOk);
  nodes_[1].reset();
  EXPECT_THAT(outcomes, ElementsAre(Outcome::kNotDelivered, Outcome::kNotDelivered));
}

TEST_F(SessionMessenger, Its_end_is_reported_once_after_its_last_connection) {
  int closed = 0;
  auto started = StartSessionMessenger(*io_, Config(1, {2}), SystemRandom(), [&] { ++closed; });
  ASSERT_TRUE(started.ok()) << started.status();
  std::unique_ptr<Messenger> messenger = *std::move(started);
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] { return StateOf(*messenger, 2) == PeerState::kUp; }));
  EXPECT_EQ(closed, 0);
  messenger.reset();
  EXPECT_EQ(closed, 0);  // the loop has to close the connections first
  EXPECT_TRUE(RunUntil([&] { return closed > 0; }));
  Turn();
  EXPECT_EQ(closed, 1);
}

TEST_F(SessionMessenger, The_end_of_one_without_connections_is_reported_too) {
  int closed = 0;
  MessengerConfig config = Config(1, {2});
  config.listen_address = "nowhere";
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom(), [&] { ++closed; }).ok());
  EXPECT_TRUE(RunUntil([&] { return closed == 1; }));
  auto alone = StartSessionMessenger(*io_, Config(1, {}), SystemRandom(), [&] { ++closed; });
  ASSERT_TRUE(alone.ok()) << alone.status();
  alone->reset();
  EXPECT_TRUE(RunUntil([&] { return closed == 2; }));
}

TEST_F(SessionMessenger, A_configuration_that_cannot_work_is_refused) {
  MessengerConfig config = Config(1, {1});
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom()).ok());
  config = Config(1, {2});
  config.tolerance_ms = 1;
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom()).ok());
  config = Config(1, {2});
  config.listen_address = "nowhere";
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom()).ok());
}

}  // namespace
}  // namespace clustix::msg
