// SPDX-License-Identifier: Apache-2.0
// Calls: one answer, one outcome, whatever happens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/session/pair.h"

namespace clustix::session_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void Echo(Node& node) {
  node.on_deliver = [&node](const Delivered& request) {
    if (request.type == KCCM_FRAME_REQUEST) {
      ASSERT_EQ(node.Reply(request, "re: " + request.payload), 0);
    }
  };
}

TEST(Call, The_reply_meets_its_call) {
  Pair pair;
  Echo(pair.two());
  for (uint64_t i = 1; i <= 300; ++i) {
    ASSERT_EQ(pair.one().Call("call " + std::to_string(i), i), 0);
  }
  pair.Settle();
  ASSERT_EQ(pair.one().called.size(), 300u);
  for (const Settled& call : pair.one().called) {
    EXPECT_EQ(call.error, 0);
    EXPECT_EQ(call.payload, "re: call " + std::to_string(call.cookie));
  }
}

TEST(Call, A_cut_anywhere_runs_the_handler_once_and_answers_once) {
  for (int64_t cut = 600; cut < 1500; ++cut) {
    Pair pair;
    Echo(pair.two());
    pair.cut_after = cut;
    pair.Settle();
    ASSERT_EQ(pair.one().Call("run me", 1), 0);
    pair.Advance(500 * kMs);
    ASSERT_EQ(pair.two().delivered.size(), 1u) << cut;
    ASSERT_EQ(pair.one().called.size(), 1u) << cut;
    ASSERT_EQ(pair.one().called[0].error, 0) << cut;
  }
}

TEST(Call, A_deadline_ends_the_call_and_its_late_reply_is_dropped) {
  Pair pair;
  pair.Settle();
  ASSERT_EQ(pair.one().Call("slow", 1, pair.now + 30 * kMs), 0);
  ASSERT_EQ(pair.one().Call("patient", 2), 0);
  pair.Advance(100 * kMs);
  ASSERT_EQ(pair.one().called.size(), 1u);
  EXPECT_EQ(pair.one().called[0].cookie, 1u);
  EXPECT_EQ(pair.one().called[0].error, -ETIMEDOUT);
  EXPECT_EQ(pair.one().stats().calls_timed_out, 1u);
  EXPECT_EQ(pair.one().stats().outcomes_unknown, 0u) << "nobody has lost anything";

  // The next call takes the slot that is free again; the late reply must not meet it.
  ASSERT_EQ(pair.one().Call("next", 3), 0);
  pair.Settle();
  ASSERT_EQ(pair.two().delivered.size(), 3u);
  ASSERT_EQ(pair.two().Reply(pair.two().delivered[0], "too late"), 0);
  ASSERT_EQ(pair.two().Reply(pair.two().delivered[2], "in time"), 0);
  pair.Settle();
  ASSERT_EQ(pair.one().called.size(), 2u);
  EXPECT_EQ(pair.one().called[1].cookie, 3u);
  EXPECT_EQ(pair.one().called[1].payload, "in time");
  EXPECT_EQ(pair.one().stats().replies_late, 1u);
}

TEST(Call, A_cancelled_call_never_calls_back) {
  Pair pair;
  uint64_t request = 0, cookie = 0;
  ASSERT_EQ(pair.one().Call("never mind", 9, UINT64_MAX, &request), 0);
  EXPECT_EQ(kccm_peer_cancel(pair.one().peer, request, &cookie), 0);
  EXPECT_EQ(cookie, 9u);
  EXPECT_EQ(kccm_peer_cancel(pair.one().peer, request, &cookie), -ENOENT);
  Echo(pair.two());
  pair.Settle();
  EXPECT_TRUE(pair.one().called.empty());
  EXPECT_EQ(pair.one().stats().replies_late, 1u);
}

TEST(Call, A_restart_of_the_peer_makes_the_outcome_unknown) {
  Pair pair;
  pair.Settle();
  ASSERT_EQ(pair.one().Call("run me", 1), 0);
  pair.Settle();
  ASSERT_EQ(pair.two().delivered.size(), 1u);
  pair.refuse_dials = true;
  pair.Start(2);
  pair.Settle();
  ASSERT_EQ(pair.one().Call("not sent before the restart was noticed", 2), 0);
  pair.refuse_dials = false;
  pair.Advance(3000 * kMs);
  ASSERT_EQ(pair.one().called.size(), 2u);
  EXPECT_EQ(pair.one().called[0].cookie, 1u);
  EXPECT_EQ(pair.one().called[0].error, -EREMOTEIO);
  EXPECT_EQ(pair.one().called[1].cookie, 2u);
  EXPECT_EQ(pair.one().called[1].error, -ECANCELED);
  EXPECT_TRUE(pair.two().delivered.empty());
}

TEST(Call, A_callback_may_call_again_while_a_session_ends) {
  Pair pair;
  pair.Settle();
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_EQ(pair.one().Call("first", i), 0);
  pair.Settle();
  pair.Start(2);
  Echo(pair.two());
  pair.Advance(3000 * kMs);
  ASSERT_EQ(pair.one().called.size(), 100u);
  for (const Settled& call : pair.one().called) EXPECT_EQ(call.error, -EREMOTEIO);
  pair.one().called.clear();
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_EQ(pair.one().Call("second", i), 0);
  pair.Settle();
  ASSERT_EQ(pair.one().called.size(), 100u);
  for (const Settled& call : pair.one().called) EXPECT_EQ(call.error, 0);
}

// Each side's next call waits for credit that only the other side's replies give back.
TEST(Call, Two_nodes_whose_queues_are_full_of_calls_to_each_other_go_on) {
  constexpr size_t kCalls = 500;
  Pair pair;
  for (const int id : {1, 2}) {
    pair.Start(id, [](kccm_config& config) {
      config.queue_messages = 64;
      config.window_messages = 8;
    });
  }
  size_t made[3] = {};
  const auto fill = [&](Node& node) {
    while (made[node.id] < kCalls && node.Call("?", made[node.id] + 1) == 0) ++made[node.id];
  };
  for (const int id : {1, 2}) {
    Node& node = *pair.nodes[id];
    node.auto_consume = false;
    node.on_deliver = [&](const Delivered& request) {
      fill(node);
      ASSERT_EQ(node.Reply(request, "!"), 0);
      node.Consume(1, request.payload.size());
    };
    fill(node);
    ASSERT_EQ(node.Call("no room", 1), -EAGAIN);
  }
  for (size_t i = 0; i < kCalls && (made[1] < kCalls || made[2] < kCalls); ++i) {
    pair.Advance(10 * kMs);
    fill(pair.one());
    fill(pair.two());
  }
  pair.Advance(100 * kMs);
  EXPECT_EQ(pair.one().called.size(), kCalls);
  EXPECT_EQ(pair.two().called.size(), kCalls);
}

uint64_t QueuedBytes(const Node& node) {
  uint64_t messages = 0;
  uint64_t bytes = 0;
  kccm_peer_usage(node.peer, &messages, &bytes);
  return bytes;
}

constexpr uint32_t kSmallQueueBytes = KCCM_PAYLOAD_MAX + 200 * 1024;

// Answers what was delivered, in order, as far as there is room. Returns how often.
size_t AnswerAll(Node& node, size_t* answered, const std::string& answer) {
  const size_t before = *answered;
  for (; *answered < node.delivered.size(); ++*answered) {
    const Delivered& request = node.delivered[*answered];
    const int error = node.Reply(request, answer);
    if (error == -EAGAIN) break;
    EXPECT_EQ(error, 0);
    node.Consume(1, request.payload.size());
  }
  return *answered - before;
}

TEST(Call, Large_replies_that_the_peer_does_not_take_wait_outside_of_the_queue) {
  constexpr size_t kCalls = 30;
  const std::string answer(KCCM_PAYLOAD_MAX, 'a');
  Pair pair;
  pair.Start(2, [](kccm_config& config) {
    config.queue_bytes = kSmallQueueBytes;
    config.window_bytes = KCCM_PAYLOAD_MAX;
  });
  pair.two().auto_consume = false;
  for (uint64_t i = 1; i <= kCalls; ++i) ASSERT_EQ(pair.one().Call("large?", i), 0);
  pair.Settle();
  ASSERT_EQ(pair.two().delivered.size(), kCalls);

  pair.hold = [](const Socket& socket) { return socket.node == 1; };
  size_t answered = 0;
  while (AnswerAll(pair.two(), &answered, answer) != 0) pair.Settle();
  EXPECT_GE(answered, 1u);
  EXPECT_LE(QueuedBytes(pair.two()), kSmallQueueBytes + KCCM_PAYLOAD_MAX);

  pair.hold = nullptr;
  for (size_t i = 0; i < 10 * kCalls && answered < kCalls; ++i) {
    pair.Advance(1 * kMs);
    AnswerAll(pair.two(), &answered, answer);
    EXPECT_LE(QueuedBytes(pair.two()), kSmallQueueBytes + KCCM_PAYLOAD_MAX);
  }
  pair.Advance(10 * kMs);
  ASSERT_EQ(pair.one().called.size(), kCalls);
  for (const Settled& call : pair.one().called) ASSERT_EQ(call.payload.size(), answer.size());
}

TEST(Call, Who_found_no_room_for_a_reply_hears_when_only_the_peers_credit_is_missing) {
  constexpr size_t kCalls = 5;
  const std::string large(KCCM_PAYLOAD_MAX, 'a');
  Pair pair;
  pair.Start(1, [](kccm_config& config) { config.window_bytes = KCCM_PAYLOAD_MAX; });
  pair.Start(2, [](kccm_config& config) {
    config.queue_bytes = kSmallQueueBytes;
    config.window_bytes = KCCM_PAYLOAD_MAX;
  });
  pair.one().auto_consume = false;
  pair.two().auto_consume = false;
  for (uint64_t i = 1; i <= kCalls; ++i) ASSERT_EQ(pair.one().Call("large?", i), 0);
  pair.Settle();
  ASSERT_EQ(pair.two().delivered.size(), kCalls);

  pair.hold = [](const Socket& socket) { return socket.node == 1; };
  ASSERT_EQ(pair.two().Send(large), 0);  // all that the window takes
  size_t answered = 0;
  while (AnswerAll(pair.two(), &answered, large) != 0) pair.Settle();
  ASSERT_LT(answered, kCalls);
  pair.two().writable.clear();

  pair.hold = nullptr;
  pair.Advance(10 * kMs);
  ASSERT_EQ(pair.one().delivered.size(), 1u);
  EXPECT_TRUE(pair.one().called.empty()) << "what it has not consumed is in the way";
  EXPECT_THAT(pair.two().writable, ElementsAre(KCCM_LANE_CONTROL));
  AnswerAll(pair.two(), &answered, large);
  EXPECT_EQ(answered, kCalls);
  pair.one().Consume(1, large.size());
  pair.Advance(100 * kMs);
  EXPECT_EQ(pair.one().called.size(), kCalls);
}

// Each side's replies wait for bytes of credit that only the other side's replies give back.
TEST(Call, Two_nodes_with_large_replies_to_each_other_go_on) {
  constexpr size_t kCalls = 60;
  const std::string request(32 * 1024, 'r');
  const std::string answer(KCCM_PAYLOAD_MAX, 'a');
  Pair pair;
  size_t made[3] = {};
  size_t answered[3] = {};
  for (const int id : {1, 2}) {
    pair.Start(id, [](kccm_config& config) {
      config.queue_bytes = kSmallQueueBytes;
      config.window_bytes = KCCM_PAYLOAD_MAX;
    });
    pair.nodes[id]->auto_consume = false;
  }
  for (size_t i = 0; i < 10 * kCalls && answered[1] + answered[2] < 2 * kCalls; ++i) {
    for (const int id : {1, 2}) {
      Node& node = *pair.nodes[id];
      while (made[id] < kCalls && node.Call(request, made[id] + 1) == 0) ++made[id];
    }
    pair.Advance(3 * kMs);
    for (const int id : {1, 2}) AnswerAll(*pair.nodes[id], &answered[id], answer);
  }
  pair.Advance(100 * kMs);
  EXPECT_EQ(pair.one().called.size(), kCalls);
  EXPECT_EQ(pair.two().called.size(), kCalls);
}

TEST(Call, The_number_of_open_calls_is_bounded) {
  Pair pair;
  pair.Start(1, [](kccm_config& config) { config.calls = 100; });
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_EQ(pair.one().Call("", i), 0);
  EXPECT_EQ(pair.one().Call("", 101), -ENOBUFS);
  Echo(pair.two());
  pair.Advance(10 * kMs);
  EXPECT_EQ(pair.one().Call("", 101), 0);
}

TEST(Call, Who_found_too_many_calls_open_hears_when_there_are_fewer) {
  Pair pair;
  pair.Start(1, [](kccm_config& config) { config.calls = 4; });
  pair.Settle();
  Node& one = pair.one();
  uint64_t requests[4];
  const auto fill = [&] {
    for (uint64_t& request : requests) ASSERT_EQ(one.Call("", 1, UINT64_MAX, &request), 0);
    ASSERT_EQ(one.Call("", 1), -ENOBUFS);
    pair.Advance(10 * kMs);  // every request has been accepted: the queue has nothing more to tell
    ASSERT_THAT(one.writable, IsEmpty());
  };
  fill();
  for (const Delivered& request : pair.two().delivered) pair.two().Reply(request, "");
  pair.Settle();
  EXPECT_THAT(one.writable, ElementsAre(KCCM_LANE_CONTROL)) << "after replies";

  one.writable.clear();
  fill();
  uint64_t cookie;
  for (const uint64_t request : requests) kccm_peer_cancel(one.peer, request, &cookie);
  EXPECT_THAT(one.writable, IsEmpty()) << "not from within";
  pair.Advance(KCCM_PROBE_MAX_MS * kMs);
  EXPECT_THAT(one.writable, ElementsAre(KCCM_LANE_CONTROL)) << "after they were given up";

  one.writable.clear();
  fill();
  pair.Start(2);
  pair.Advance(100 * kMs);
  EXPECT_THAT(one.writable, ElementsAre(KCCM_LANE_CONTROL)) << "after a restart of the peer";
}

TEST(Call, A_reply_to_nobody_is_counted_and_dropped) {
  Pair pair;
  pair.Settle();
  for (const uint64_t request : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
    ASSERT_EQ(pair.two().Reply({KCCM_FRAME_REQUEST, 0, 7, request, ""}, "surprise"), 0);
  }
  pair.Settle();
  EXPECT_TRUE(pair.one().called.empty());
  EXPECT_EQ(pair.one().stats().replies_late, 3u);
}

}  // namespace
}  // namespace clustix::session_test
