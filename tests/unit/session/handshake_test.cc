// SPDX-License-Identifier: Apache-2.0
// Who gets in, who does not, and what a restart does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/session/pair.h"

namespace clustix::session_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

bool Up(Node& node) { return kccm_peer_state(node.peer) == KCCM_PEER_UP; }

TEST(Handshake, Two_nodes_with_one_key_come_up_on_both_lanes) {
  Pair pair;
  pair.Settle();
  EXPECT_TRUE(Up(pair.one()));
  EXPECT_TRUE(Up(pair.two()));
  EXPECT_THAT(pair.one().events, ElementsAre(KCCM_EVENT_UP));
  EXPECT_EQ(pair.one().stats().connects, 2u);
  EXPECT_EQ(kccm_peer_incarnation(pair.one().peer), 101u);
}

void ExpectRefused(const std::function<void(kccm_config&)>& change, kccm_refusal reason) {
  Pair pair;
  pair.Start(2, change);
  pair.one().Send("secret");
  pair.Advance(500 * kMs);
  EXPECT_FALSE(Up(pair.one()));
  EXPECT_FALSE(Up(pair.two()));
  EXPECT_TRUE(pair.two().delivered.empty());
  EXPECT_GT(pair.one().totals().refused[reason] + pair.two().totals().refused[reason], 0u);
  EXPECT_GT(pair.one().totals().refused_by[reason] + pair.two().totals().refused_by[reason], 0u);
  std::vector<kccm_refusal> told = pair.one().told_refused;
  told.insert(told.end(), pair.two().told_refused.begin(), pair.two().told_refused.end());
  EXPECT_THAT(told, Contains(reason));
}

TEST(Handshake, Another_key_is_refused) {
  ExpectRefused([](kccm_config& config) { config.key[31] ^= 1; }, KCCM_REFUSE_PROOF);
}

TEST(Handshake, Another_cluster_is_refused) {
  ExpectRefused([](kccm_config& config) { config.cluster[0] ^= 1; }, KCCM_REFUSE_CLUSTER);
}

TEST(Handshake, Another_limit_of_message_size_is_refused) {
  ExpectRefused([](kccm_config& config) { config.payload_max = 1000; }, KCCM_REFUSE_PROTOCOL);
}

TEST(Handshake, The_longer_tolerance_holds_for_both) {
  Pair pair;
  pair.Start(2, [](kccm_config& config) { config.tolerance_ms = 5000; });
  pair.Settle();
  pair.swallow = true;
  pair.Advance(4900 * kMs);
  EXPECT_TRUE(Up(pair.one()));
  EXPECT_TRUE(Up(pair.two()));
  pair.Advance(700 * kMs);
  EXPECT_FALSE(Up(pair.one()));
  EXPECT_FALSE(Up(pair.two()));
}

TEST(Handshake, An_unknown_node_is_refused) {
  Pair pair;
  kccm_peer_remove(pair.two().peer, pair.now);
  pair.Advance(200 * kMs);
  EXPECT_FALSE(Up(pair.one()));
  EXPECT_GT(pair.two().totals().refused[KCCM_REFUSE_UNKNOWN], 0u);
}

TEST(Handshake, A_clone_of_a_live_node_is_refused_and_disturbs_nobody) {
  Pair pair;
  pair.Settle();
  ASSERT_TRUE(Up(pair.two()));
  // A second node 1: its dials reach node 2 while the first one is connected.
  kccm_config config = Pair::Config(1);
  config.incarnation = 999;
  {
    Node clone(&pair, 1, config);
    clone.peer = clone.AddPeer(2);
    kccm_tick(clone.endpoint, pair.now);
    pair.Settle();
    EXPECT_EQ(kccm_peer_state(clone.peer), KCCM_PEER_CONNECTING);
    EXPECT_GT(pair.two().totals().refused[KCCM_REFUSE_CLONE], 0u);
    EXPECT_GT(clone.totals().refused_by[KCCM_REFUSE_CLONE], 0u);
    EXPECT_TRUE(Up(pair.two()));
    EXPECT_THAT(pair.two().events, ElementsAre(KCCM_EVENT_UP));
  }
  ASSERT_EQ(pair.one().Send("still here"), 0);
  pair.Settle();
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("still here"));
}

TEST(Handshake, A_restarted_dialer_starts_a_new_session) {
  Pair pair;
  pair.Settle();
  pair.two().Send("taken", 1);
  pair.Advance(10 * kMs);
  pair.refuse_dials = true;
  pair.Cut();
  pair.two().Send("never written", 2);
  pair.Start(1);
  pair.refuse_dials = false;
  pair.Advance(2500 * kMs);
  ASSERT_TRUE(Up(pair.two()));
  EXPECT_THAT(pair.two().events, Contains(KCCM_EVENT_REBOOTED));
  ASSERT_EQ(pair.two().sent.size(), 2u);
  EXPECT_EQ(pair.two().sent[0].error, 0);
  EXPECT_EQ(pair.two().sent[1].error, -ECANCELED);
  EXPECT_TRUE(pair.one().delivered.empty());
  ASSERT_EQ(pair.two().Send("new"), 0);
  pair.Settle();
  EXPECT_THAT(pair.one().Payloads(), ElementsAre("new"));
}

TEST(Handshake, A_restarted_responder_makes_unproven_messages_unknown) {
  Pair pair;
  pair.Settle();
  pair.swallow = true;
  ASSERT_EQ(pair.one().Send("written into the void", 1), 0);
  pair.Settle();
  pair.swallow = false;
  pair.Cut();
  pair.Start(2);
  pair.Advance(2500 * kMs);
  ASSERT_TRUE(Up(pair.one()));
  EXPECT_THAT(pair.one().events, Contains(KCCM_EVENT_REBOOTED));
  ASSERT_EQ(pair.one().sent.size(), 1u);
  EXPECT_EQ(pair.one().sent[0].error, -EREMOTEIO);
  EXPECT_TRUE(pair.two().delivered.empty());
}

TEST(Handshake, A_restart_in_the_middle_of_any_handshake_ends_well) {
  for (int64_t cut = 0; cut < 1200; cut += 5) {
    for (const int restarted : {1, 2}) {
      Pair pair;
      pair.cut_after = cut;
      pair.Settle();
      pair.Start(restarted);
      ASSERT_EQ(pair.one().Send("hello"), 0);
      ASSERT_EQ(pair.two().Send("hello"), 0);
      pair.Advance(5000 * kMs);
      ASSERT_TRUE(Up(pair.one())) << cut << " " << restarted;
      ASSERT_TRUE(Up(pair.two())) << cut << " " << restarted;
      // The survivor's message is delivered, or settled because the peer restarted; never twice.
      ASSERT_LE(pair.one().delivered.size(), 1u);
      ASSERT_LE(pair.two().delivered.size(), 1u);
      ASSERT_EQ(pair.nodes[3 - restarted]->delivered.size(), 1u);
    }
  }
}

// What is about to be read at a socket begins with a HELLO_PROOF.
bool IsProof(const Socket& socket) {
  return socket.inbox.size() - socket.taken > KCCM_FRAME_BYTES &&
         socket.inbox[socket.taken + 8] == KCCM_FRAME_HELLO_PROOF;
}

TEST(Handshake, A_lost_proof_ends_no_session) {
  Pair pair;
  ASSERT_EQ(pair.one().Send("hello", 1), 0);
  pair.hold = IsProof;
  pair.Settle();
  ASSERT_TRUE(Up(pair.one()));  // it has been offered a session, and proven itself as it thinks
  ASSERT_FALSE(Up(pair.two()));
  pair.Cut();
  pair.hold = nullptr;
  pair.Advance(500 * kMs);
  EXPECT_TRUE(Up(pair.two()));
  EXPECT_THAT(pair.one().events, Not(Contains(KCCM_EVENT_REBOOTED)));
  EXPECT_THAT(pair.two().events, Not(Contains(KCCM_EVENT_REBOOTED)));
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("hello"));
  ASSERT_EQ(pair.one().sent.size(), 1u);
  EXPECT_EQ(pair.one().sent[0].error, 0);
}

TEST(Handshake, A_reboot_is_told_before_what_it_settles_and_before_writable) {
  Pair pair;
  pair.Start(1, [](kccm_config& config) { config.queue_messages = 1; });
  pair.Settle();
  pair.swallow = true;
  ASSERT_EQ(pair.one().Send("unknown", 1), 0);
  ASSERT_EQ(pair.one().Send("refused", 2), -EAGAIN);
  pair.Settle();
  pair.swallow = false;
  pair.Cut();
  pair.Start(2);
  pair.one().order.clear();
  pair.Advance(2500 * kMs);
  EXPECT_THAT(pair.one().order, ElementsAre("rebooted", "sent", "writable", "up"));
}

TEST(Handshake, A_proof_counts_only_if_no_other_session_began_since_its_hello) {
  Pair pair;
  pair.hold = IsProof;
  pair.Settle();
  ASSERT_FALSE(Up(pair.two()));
  // The proofs of a node 1 that died stay under way, while its successor comes up and loses its
  // connections.
  pair.hold = [&](const Socket& socket) { return IsProof(socket) && socket.gone; };
  pair.Start(1);
  pair.Settle();
  ASSERT_TRUE(Up(pair.two()));
  pair.refuse_dials = true;
  pair.CutProven();
  ASSERT_EQ(pair.one().Send("of the successor", 1), 0);
  pair.hold = nullptr;
  pair.Settle();
  EXPECT_THAT(pair.two().events, Not(Contains(KCCM_EVENT_REBOOTED)));
  EXPECT_EQ(pair.two().totals().refused[KCCM_REFUSE_STALE], 2u);
  pair.refuse_dials = false;
  pair.Advance(2500 * kMs);
  EXPECT_THAT(pair.one().events, Not(Contains(KCCM_EVENT_REBOOTED)));
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("of the successor"));
}

// A process that was stopped, and replaced, and goes on when its successor is dead.
TEST(Handshake, A_session_that_is_over_never_begins_again) {
  Pair pair;
  pair.Settle();
  ASSERT_EQ(pair.one().Send("once", 1), 0);
  pair.Settle();
  ASSERT_THAT(pair.two().Payloads(), ElementsAre("once"));
  pair.refuse_dials = true;
  pair.Cut();  // before it is acknowledged
  pair.Settle();
  std::unique_ptr<Node> stopped = std::move(pair.nodes[1]);
  pair.refuse_dials = false;
  pair.Start(1);
  pair.Advance(2500 * kMs);
  ASSERT_TRUE(Up(pair.two()));
  pair.Stop(1);
  pair.nodes[1] = std::move(stopped);
  pair.Advance(5000 * kMs);
  EXPECT_TRUE(Up(pair.one()));
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("once"));
  ASSERT_EQ(pair.one().sent.size(), 1u);
  EXPECT_EQ(pair.one().sent[0].error, -EREMOTEIO);
}

// Nothing has been acknowledged yet: as far as node 1 knows, the session may just be beginning.
TEST(Handshake, A_peer_that_is_removed_and_added_again_begins_another_session) {
  Pair pair;
  pair.Settle();
  ASSERT_EQ(pair.one().Send("once", 1), 0);
  ASSERT_EQ(pair.two().Send("before", 1), 0);
  pair.Settle();
  ASSERT_THAT(pair.two().Payloads(), ElementsAre("once"));
  pair.Cut();
  kccm_peer_remove(pair.two().peer, pair.now);
  pair.two().peer = pair.two().AddPeer(1);
  ASSERT_EQ(pair.two().Send("after", 2), 0);
  pair.Advance(5000 * kMs);
  EXPECT_TRUE(Up(pair.one()));
  EXPECT_TRUE(Up(pair.two()));
  EXPECT_THAT(pair.one().events, Contains(KCCM_EVENT_REBOOTED));
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("once"));
  EXPECT_THAT(pair.one().Payloads(), ElementsAre("before", "after"));
  ASSERT_EQ(pair.one().sent.size(), 1u);
  EXPECT_EQ(pair.one().sent[0].error, -EREMOTEIO);
}

// As after the restore of an older state of the whole machine: even its incarnation is the same.
TEST(Handshake, A_responder_that_remembers_less_than_it_has_acknowledged_has_lost_the_session) {
  Pair pair;
  pair.Settle();
  const uint64_t incarnation = kccm_peer_incarnation(pair.one().peer);
  ASSERT_EQ(pair.one().Send("acknowledged", 1), 0);
  pair.Advance(10 * kMs);
  ASSERT_EQ(pair.one().sent.size(), 1u);
  pair.Start(2, [&](kccm_config& config) { config.incarnation = incarnation; });
  ASSERT_EQ(pair.one().Send("into the void", 2), 0);
  pair.Advance(2500 * kMs);
  EXPECT_TRUE(Up(pair.one()));
  EXPECT_TRUE(Up(pair.two()));
  EXPECT_THAT(pair.one().events, Contains(KCCM_EVENT_REBOOTED));
  ASSERT_EQ(pair.one().sent.size(), 2u);
  EXPECT_EQ(pair.one().sent[1].error, -EREMOTEIO);
  ASSERT_EQ(pair.one().Send("new", 3), 0);
  pair.Settle();
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("new"));
}

TEST(Handshake, A_connection_that_says_nothing_is_closed) {
  Pair pair;
  pair.Settle();
  Socket* silent = pair.Connect(2);
  pair.Advance((KCCM_HANDSHAKE_MS + 1) * kMs);
  EXPECT_EQ(silent->conn, nullptr);
  EXPECT_EQ(pair.two().totals().refused[KCCM_REFUSE_TIMEOUT], 1u);
  EXPECT_TRUE(Up(pair.two()));
}

TEST(Handshake, A_crowd_of_silent_connections_does_not_keep_a_peer_out) {
  Pair pair;
  pair.refuse_dials = true;
  for (int i = 0; i < 500; ++i) pair.Connect(2);
  pair.refuse_dials = false;
  pair.Advance(200 * kMs);
  EXPECT_TRUE(Up(pair.one()));
  EXPECT_EQ(pair.two().totals().refused[KCCM_REFUSE_BUSY], 500u - KCCM_HANDSHAKES_PENDING + 2);
}

TEST(Handshake, A_recorded_handshake_proves_nothing_later) {
  Pair pair;
  pair.Settle();
  const std::string recorded = pair.Written(0);  // all that node 1 said on its first connection
  ASSERT_GT(recorded.size(), static_cast<size_t>(KCCM_HELLO_BYTES + KCCM_PROOF_BYTES));
  pair.refuse_dials = true;
  pair.Cut();
  pair.Stop(1);
  const uint64_t connects = pair.two().stats().connects;

  // The attempt that it names is an old one ...
  pair.Connect(2)->inbox = recorded;
  pair.Settle();
  EXPECT_EQ(pair.two().totals().refused[KCCM_REFUSE_STALE], 1u);
  // ... and to a node that has forgotten that, its proof covers another nonce.
  pair.Start(2);
  pair.Connect(2)->inbox = recorded;
  pair.Settle();
  EXPECT_EQ(pair.two().totals().refused[KCCM_REFUSE_PROOF], 1u);
  EXPECT_EQ(pair.two().stats().connects, 0u);
  EXPECT_EQ(connects, 2u);
}

TEST(Handshake, The_higher_node_knocks_and_shortens_a_back_off) {
  Pair pair;
  pair.refuse_dials = true;
  pair.Advance(60'000 * kMs);  // node 1 is in its longest back-off
  pair.refuse_dials = false;
  pair.Start(2);
  pair.Advance((KCCM_KNOCK_MS + 10) * kMs);
  EXPECT_TRUE(Up(pair.two()));
  EXPECT_THAT(pair.two().events, Not(Contains(KCCM_EVENT_SUSPECT)));
}

}  // namespace
}  // namespace clustix::session_test
