// SPDX-License-Identifier: Apache-2.0
// What clustix/messenger.h promises, over every transport that this machine has: what lib/session
// promises must reach its user. What faults do to it is the simulator's business (tests/sim).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "tests/unit/msg/messenger_fixture.h"

namespace clustix::msg {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::Not;

class AMessenger : public MessengerFixture, public ::testing::WithParamInterface<Transports> {
 protected:
  AMessenger() : MessengerFixture(GetParam()) {}
};

// How what never got anywhere ends with its messenger: of what the kernel has had, nobody knows.
auto LeftAlone() { return AnyOf(Outcome::kNotDelivered, Outcome::kUnknown); }

TEST_P(AMessenger, One_way_messages_arrive_in_order_and_are_reported) {
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
  ASSERT_TRUE(RunUntil([&] { return reported == 1000 && arrived.size() == sent.size(); }));
  EXPECT_EQ(arrived, sent);
}

TEST_P(AMessenger, Large_messages_are_sent_in_place) {
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
  ASSERT_TRUE(RunUntil([&] { return given_back == 30 && arrived.size() == sent.size(); }));
  EXPECT_EQ(arrived, sent);
  EXPECT_EQ(nodes_[1]->SendInPlace(9, kPort, AsBytes(sent[0])), Outcome::kNoSuchPeer);
}

TEST_P(AMessenger, Every_buffer_comes_back_when_the_messenger_ends) {
  Start(Config(1, {2}));  // nobody answers
  const std::string buffer(100'000, 'x');
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(nodes_[1]->SendInPlace(2, kPort, AsBytes(buffer), Lane::kBulk,
                                     [&](Outcome outcome) { outcomes.push_back(outcome); }),
              Outcome::kOk);
  }
  nodes_.erase(1);
  EXPECT_EQ(outcomes.size(), 3u);
  EXPECT_THAT(outcomes, Each(LeftAlone()));
}

TEST_P(AMessenger, A_node_that_listens_on_any_port_says_on_which) {
  MessengerConfig server = Config(2, {1});
  server.listen_address = addresses_[2].substr(0, addresses_[2].find(':')) + ":0";
  addresses_[2] = Start(server).address();
  EXPECT_THAT(addresses_[2], Not(EndsWith(":0")));
  EXPECT_EQ(Start(Config(1, {2})).address(), addresses_[1]);
  EXPECT_TRUE(RunUntil([&] { return StateOf(*nodes_[1], 2) == PeerState::kUp; }));
}

TEST_P(AMessenger, Calls_are_answered_inside_and_after_their_handler) {
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

TEST_P(AMessenger, Each_end_of_a_call_has_its_own_outcome) {
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

TEST_P(AMessenger, A_cancelled_call_stays_silent) {
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

TEST_P(AMessenger, A_full_queue_says_busy_and_later_writable) {
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
TEST_P(AMessenger, Answers_wait_for_room) {
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
TEST_P(AMessenger, Two_nodes_whose_queues_are_full_of_calls_to_each_other_go_on) {
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

TEST_P(AMessenger, An_answer_to_a_dead_caller_never_reaches_its_successor) {
  StartPair();
  std::vector<Incoming> calls;
  nodes_[2]->Handle(kPort, [&](const Incoming& call) { calls.push_back(call); });
  CallId first, second;
  ASSERT_EQ(nodes_[1]->Call(
                2, kPort, {}, {}, [](const Reply&) {}, &first),
            Outcome::kOk);
  ASSERT_TRUE(RunUntil([&] { return calls.size() == 1; }));
  End(1);
  Start(Config(1, {2}));
  std::vector<std::string> answers;
  ASSERT_EQ(nodes_[1]->Call(
                2, kPort, {}, {.timeout_ms = 0},
                [&](const Reply& reply) { answers.push_back(AsText(reply.payload)); }, &second),
            Outcome::kOk);
  ASSERT_EQ(first.request, second.request);
  ASSERT_TRUE(RunUntil([&] { return calls.size() == 2; }));
  // The module knows that nobody waits for it, but not at once.
  EXPECT_EQ(nodes_[2]->Answer(1, calls[0].lane, calls[0].request, 0, AsBytes("to the dead")),
            transports_.module_2 ? Outcome::kOk : Outcome::kNotDelivered);
  EXPECT_EQ(nodes_[2]->Answer(1, calls[1].lane, calls[1].request, 0, AsBytes("to the living")),
            Outcome::kOk);
  ASSERT_TRUE(RunUntil([&] { return !answers.empty(); }));
  EXPECT_THAT(answers, ElementsAre("to the living"));
}

TEST_P(AMessenger, The_longest_timeout_is_no_deadline) {
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

TEST_P(AMessenger, A_listener_may_add_listeners) {
  Start(Config(1, {2}));
  int heard_later = 0;
  nodes_[1]->OnEvent([&](NodeId, PeerEvent) {
    for (int i = 0; i < 100; ++i) nodes_[1]->OnEvent([&](NodeId, PeerEvent) { ++heard_later; });
  });
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] { return StateOf(*nodes_[1], 2) == PeerState::kUp; }));
  EXPECT_EQ(heard_later % 100, 0);
  End(2);
  ASSERT_TRUE(RunUntil([&] { return heard_later >= 100; }));
}

// Neither peer has a connection, so that each is gone as soon as it is removed.
TEST_P(AMessenger, A_callback_of_its_end_may_try_to_send_again) {
  Start(Config(1, {2, 3}));
  Messenger* const messenger = nodes_[1].get();
  std::map<NodeId, Outcome> again;
  for (const NodeId peer : {2, 3}) {
    ASSERT_EQ(messenger->Send(peer, kPort, {}, Lane::kControl,
                              [&, peer](Outcome outcome) {
                                EXPECT_THAT(outcome, LeftAlone());
                                again[peer] = messenger->Send(2, kPort, {}, Lane::kControl);
                              }),
              Outcome::kOk);
  }
  nodes_[1].reset();
  EXPECT_EQ(again[2], Outcome::kNoSuchPeer);
  EXPECT_EQ(again[3], Outcome::kNoSuchPeer);
}

TEST_P(AMessenger, The_largest_message_crosses_in_both_directions) {
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

TEST_P(AMessenger, A_restarted_peer_is_reported_and_its_calls_are_unknown) {
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
  End(2);
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] { return !outcomes.empty(); }));
  EXPECT_THAT(outcomes, ElementsAre(Outcome::kUnknown));
  ASSERT_TRUE(RunUntil([&] {
    return StateOf(*nodes_[1], 2) == PeerState::kUp && !events.empty() &&
           events.back() == PeerEvent::kUp;
  }));
  EXPECT_THAT(events, ::testing::Contains(PeerEvent::kRebooted));
}

TEST_P(AMessenger, Another_key_stays_outside_and_is_counted) {
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

TEST_P(AMessenger, Its_end_settles_everything_that_is_pending) {
  StartPair();
  std::vector<Outcome> outcomes;
  ASSERT_EQ(nodes_[1]->Send(2, kPort, {}, Lane::kControl,
                            [&](Outcome outcome) { outcomes.push_back(outcome); }),
            Outcome::kOk);
  ASSERT_EQ(nodes_[1]->Call(2, kPort, {}, {},
                            [&](const Reply& reply) { outcomes.push_back(reply.outcome); }),
            Outcome::kOk);
  nodes_[1].reset();
  EXPECT_THAT(outcomes, ElementsAre(LeftAlone(), LeftAlone()));
}

TEST_P(AMessenger, Its_end_is_reported_once_after_its_last_connection) {
  int closed = 0;
  std::unique_ptr<Messenger> messenger = Make(Config(1, {2}), [&] { ++closed; });
  ASSERT_NE(messenger, nullptr);
  Start(Config(2, {1}));
  ASSERT_TRUE(RunUntil([&] { return StateOf(*messenger, 2) == PeerState::kUp; }));
  EXPECT_EQ(closed, 0);
  messenger.reset();
  EXPECT_EQ(closed, 0);  // the loop has to close the connections first
  EXPECT_TRUE(RunUntil([&] { return closed > 0; }));
  Turn();
  EXPECT_EQ(closed, 1);
}

// Each queue takes less than what is sent at once, so that messages are turned away and come again,
// from the program as from the kernel.
TEST_P(AMessenger, Order_survives_a_queue_that_is_always_full) {
  constexpr uint32_t kMessages = 5000;
  MessengerConfig sender = Config(1, {2});
  sender.queue_messages = 16;
  MessengerConfig receiver = Config(2, {1});
  receiver.window_messages = 4;
  Start(sender);
  Start(receiver);
  std::vector<uint32_t> arrived;
  nodes_[2]->Handle(kPort, [&](const Incoming& message) {
    uint32_t number = 0;
    ASSERT_GE(message.payload.size(), sizeof number);
    memcpy(&number, message.payload.data(), sizeof number);
    arrived.push_back(number);
    if (message.wants_reply) nodes_[2]->Answer(1, message.lane, message.request, 0, {});
  });
  uint32_t next = 0;
  uint32_t ended = 0;
  const auto fill = [&] {
    while (next < kMessages) {
      std::string payload(next % 7 == 0 ? 5000 : sizeof next, '.');
      memcpy(payload.data(), &next, sizeof next);
      Outcome outcome = Outcome::kOk;
      if (next % 5 == 0) {
        outcome =
            nodes_[1]->Call(2, kPort, AsBytes(payload), {.timeout_ms = 0}, [&](const Reply& reply) {
              EXPECT_EQ(reply.outcome, Outcome::kOk);
              ++ended;
            });
      } else if (next % 5 == 1) {
        outcome = nodes_[1]->Send(2, kPort, AsBytes(payload), Lane::kControl, [&](Outcome sent) {
          EXPECT_EQ(sent, Outcome::kOk);
          ++ended;
        });
      } else {
        outcome = nodes_[1]->Send(2, kPort, AsBytes(payload));
        if (outcome == Outcome::kOk) ++ended;
      }
      if (outcome != Outcome::kOk) {
        ASSERT_EQ(outcome, Outcome::kBusy);
        return;
      }
      ++next;
    }
  };
  nodes_[1]->OnWritable([&](NodeId, Lane) { fill(); });
  fill();
  ASSERT_TRUE(RunUntil([&] { return ended == kMessages && arrived.size() == kMessages; }))
      << next << " sent, " << ended << " ended, " << arrived.size() << " arrived";
  for (uint32_t i = 0; i < kMessages; ++i) ASSERT_EQ(arrived[i], i);
}

TEST_P(AMessenger, A_call_that_waits_for_room_ends_with_its_deadline) {
  MessengerConfig sender = Config(1, {2});
  sender.queue_messages = 8;
  Start(sender);  // nobody answers
  std::vector<Outcome> outcomes;
  int made = 0;
  const auto call = [&] {
    return nodes_[1]->Call(2, kPort, {}, {.timeout_ms = 200},
                           [&](const Reply& reply) { outcomes.push_back(reply.outcome); });
  };
  for (int i = 0; i < 8; ++i) {
    if (nodes_[1]->Send(2, kPort, {}) != Outcome::kOk) break;
  }
  Turn();  // of the module, the kernel's queue is full now, and there is room before it
  while (made < 8 && call() == Outcome::kOk) ++made;
  ASSERT_TRUE(RunUntil([&] { return outcomes.size() == static_cast<size_t>(made); }));
  EXPECT_THAT(outcomes, Each(Outcome::kDeadline));
}

TEST_P(AMessenger, A_handler_that_is_removed_leaves_no_such_port_and_may_come_back) {
  StartPair();
  int handled = 0;
  const auto handler = [&](const Incoming& call) {
    ++handled;
    nodes_[2]->Answer(call.from, call.lane, call.request, 0, {});
  };
  const auto outcome = [&] {
    std::vector<Outcome> outcomes;
    EXPECT_EQ(nodes_[1]->Call(2, kPort, {}, {.timeout_ms = 0},
                              [&](const Reply& reply) { outcomes.push_back(reply.outcome); }),
              Outcome::kOk);
    EXPECT_TRUE(RunUntil([&] { return !outcomes.empty(); }));
    return outcomes.empty() ? Outcome::kUnknown : outcomes[0];
  };
  // The module's port is free, or bound again, a moment later.
  const auto outcome_in_the_end = [&](Outcome wanted) {
    Outcome last = outcome();
    for (int i = 0; i < 1000 && last != wanted; ++i) {
      Turn();
      last = outcome();
    }
    return last;
  };
  nodes_[2]->Handle(kPort, handler);
  EXPECT_EQ(outcome(), Outcome::kOk);
  nodes_[2]->Handle(kPort, nullptr);
  EXPECT_EQ(outcome_in_the_end(Outcome::kNoSuchPort), Outcome::kNoSuchPort);
  EXPECT_EQ(handled, 1);
  // The module binds ports in the namespace of the thread, which here is another.
  if (transports_.module_2 && !transports_.module_1) return;
  nodes_[2]->Handle(kPort, handler);
  EXPECT_EQ(outcome_in_the_end(Outcome::kOk), Outcome::kOk);
  EXPECT_EQ(handled, 2);
}

INSTANTIATE_TEST_SUITE_P(Between, AMessenger, ::testing::ValuesIn(TransportsHere()),
                         [](const auto& parameter) { return NameOf(parameter.param); });

}  // namespace
}  // namespace clustix::msg
