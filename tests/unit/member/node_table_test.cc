// SPDX-License-Identifier: Apache-2.0
#include "lib/member/node_table.h"

#include <gtest/gtest.h>

namespace clustix::member {
namespace {

NodeTable TableOfThree() {
  absl::StatusOr<NodeTable> table = NodeTable::Create(
      2, {{3, "c", "10.0.0.3:1"}, {1, "a", "10.0.0.1:1"}, {2, "b", "10.0.0.2:1"}});
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

PeerState StateAfter(std::initializer_list<PeerEvent> events) {
  NodeTable table = TableOfThree();
  for (PeerEvent event : events) table.OnEvent(1, event);
  return table.Find(1)->state;
}

TEST(NodeTable, Lists_all_configured_nodes_by_id) {
  NodeTable table = TableOfThree();
  EXPECT_EQ(table.self(), 2);
  EXPECT_EQ(table.ids(), (std::vector<NodeId>{1, 2, 3}));
  EXPECT_TRUE(table.Find(2)->self);
  EXPECT_FALSE(table.Find(3)->self);
  EXPECT_EQ(table.Find(3)->node.name, "c");
  EXPECT_EQ(table.Find(4), nullptr);
}

TEST(NodeTable, Refuses_a_cluster_that_makes_no_sense) {
  EXPECT_FALSE(NodeTable::Create(1, {}).ok());
  EXPECT_FALSE(NodeTable::Create(1, {{2, "b", ""}}).ok());
  EXPECT_FALSE(NodeTable::Create(1, {{1, "a", ""}, {1, "b", ""}}).ok());
  EXPECT_FALSE(NodeTable::Create(512, {{512, "a", ""}}).ok());
  EXPECT_FALSE(NodeTable::Create(0, {{0, "a", ""}}).ok());
}

TEST(NodeTable, Starts_with_every_peer_connecting) {
  EXPECT_EQ(StateAfter({}), PeerState::kConnecting);
  EXPECT_FALSE(IsReachable(PeerState::kConnecting));
}

TEST(NodeTable, Follows_a_peer_from_up_to_dead_and_back) {
  EXPECT_EQ(StateAfter({PeerEvent::kUp}), PeerState::kUp);
  EXPECT_EQ(StateAfter({PeerEvent::kUp, PeerEvent::kPathDown}), PeerState::kPathDown);
  EXPECT_EQ(StateAfter({PeerEvent::kUp, PeerEvent::kSuspect}), PeerState::kSuspect);
  EXPECT_EQ(StateAfter({PeerEvent::kUp, PeerEvent::kSuspect, PeerEvent::kDead}), PeerState::kDead);
  EXPECT_EQ(StateAfter({PeerEvent::kDead, PeerEvent::kUp}), PeerState::kUp);
}

TEST(NodeTable, Takes_a_lost_connection_for_no_sign_of_life) {
  EXPECT_EQ(StateAfter({PeerEvent::kSuspect, PeerEvent::kPathDown}), PeerState::kSuspect);
  EXPECT_EQ(StateAfter({PeerEvent::kDead, PeerEvent::kPathDown}), PeerState::kDead);
  EXPECT_EQ(StateAfter({PeerEvent::kDead, PeerEvent::kSuspect}), PeerState::kDead);
}

TEST(NodeTable, Counts_reboots_and_waits_for_up) {
  NodeTable table = TableOfThree();
  table.OnEvent(1, PeerEvent::kDead);
  EXPECT_TRUE(table.OnEvent(1, PeerEvent::kRebooted));
  EXPECT_EQ(table.Find(1)->state, PeerState::kDead);
  EXPECT_EQ(table.Find(1)->reboots, 1u);
}

TEST(NodeTable, Ignores_events_of_itself_and_of_strangers) {
  NodeTable table = TableOfThree();
  EXPECT_FALSE(table.OnEvent(2, PeerEvent::kDead));
  EXPECT_FALSE(table.OnEvent(9, PeerEvent::kUp));
  EXPECT_TRUE(table.OnEvent(1, PeerEvent::kUp));
  EXPECT_FALSE(table.OnEvent(1, PeerEvent::kUp));
}

TEST(NodeTable, Waits_only_for_peers_that_answer_as_a_rule) {
  EXPECT_TRUE(IsReachable(PeerState::kUp));
  EXPECT_TRUE(IsReachable(PeerState::kPathDown));
  EXPECT_FALSE(IsReachable(PeerState::kSuspect));
  EXPECT_FALSE(IsReachable(PeerState::kDead));
}

}  // namespace
}  // namespace clustix::member
