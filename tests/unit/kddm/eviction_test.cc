// SPDX-License-Identifier: Apache-2.0
//
// How copies leave a node that lacks memory, told as short stories.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/engine.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

TEST(Eviction, A_clean_owner_hands_over_in_one_small_message) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 3, kLinked);
  mesh.Release(2, mesh.Grab(2, key));
  ASSERT_EQ(mesh.engine(2).holder().Access(key), State::kExclusive);
  mesh.Squeeze(2);
  EXPECT_EQ(mesh.engine(2).holder().Access(key), State::kShared) << "readable all the while";
  EXPECT_EQ(mesh.DeliverAll(), (Told{"yield", "reply"}));
  mesh.SqueezeOut(2);
  EXPECT_FALSE(mesh.Holds(2, key));
  EXPECT_EQ(mesh.Get(2, key), "x");
}

TEST(Eviction, An_owner_of_a_replicated_object_leaves_as_many_copies_as_the_set_wants) {
  for (const Durability durability : {kReplicas2, kReplicas3}) {
    Mesh mesh(4);
    const ObjectKey key = Written(mesh, 3, durability);
    mesh.Release(2, mesh.Grab(2, key));
    mesh.SqueezeOut(2);
    EXPECT_FALSE(mesh.Holds(2, key));
    EXPECT_EQ(mesh.Copies(key), CopiesOf(key.set));
    EXPECT_EQ(mesh.Set(2, key, "y"), "y");
  }
}

TEST(Eviction, The_last_copy_of_a_volatile_object_goes_home) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kVolatile);
  mesh.Squeeze(2);
  EXPECT_EQ(mesh.DeliverAll(), (Told{"yield", "pull", "pulled", "reply"}));
  mesh.SqueezeOut(2);
  EXPECT_FALSE(mesh.Holds(2, key));
  EXPECT_TRUE(mesh.Holds(1, key));
  EXPECT_EQ(mesh.Get(3, key), "x");
}

TEST(Eviction, The_last_copy_of_a_volatile_object_whose_home_is_full_goes_where_there_is_room) {
  Mesh mesh(4, {{1, 0}, {3, 0}});
  const ObjectKey key = Written(mesh, 2, kVolatile);
  mesh.SqueezeOut(2);
  EXPECT_FALSE(mesh.Holds(2, key));
  EXPECT_FALSE(mesh.Holds(1, key));
  EXPECT_TRUE(mesh.Holds(4, key));
  EXPECT_EQ(mesh.Get(2, key), "x");
  // What it left behind does not outlive the next commit.
  EXPECT_EQ(mesh.Set(2, key, "y"), "y");
  EXPECT_FALSE(mesh.Holds(4, key));
  EXPECT_EQ(mesh.Get(4, key), "y");
}

TEST(Eviction, A_last_copy_stays_if_nobody_has_room) {
  Mesh mesh(3, {{1, 0}, {3, 0}});
  const ObjectKey key = Written(mesh, 2, kVolatile);
  mesh.SqueezeOut(2);
  EXPECT_TRUE(mesh.Holds(2, key));
  EXPECT_EQ(mesh.Get(2, key), "x");
  EXPECT_EQ(mesh.Get(3, key), "x");
  EXPECT_EQ(mesh.Set(2, key, "y"), "y");
}

TEST(Eviction, At_most_two_members_are_asked_in_vain) {
  // As far as a digest tells, seven bytes may fit where there are five.
  std::map<NodeId, size_t> budgets;
  for (NodeId node = 1; node <= 8; ++node) budgets[node] = node == 2 ? SIZE_MAX : 5;
  Mesh mesh(8, budgets);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  ASSERT_EQ(mesh.Set(2, key, "1234567"), "1234567");
  mesh.Squeeze(2);
  const Told told = mesh.DeliverAll();
  EXPECT_EQ(std::count(told.begin(), told.end(), "backup"), 2);
  EXPECT_EQ(mesh.Get(1, key), "1234567");
}

TEST(Eviction, A_backup_moves_to_another_member) {
  size_t moved = 0;
  for (NodeId backup = 2; backup <= 4; ++backup) {
    Mesh mesh(4);
    const ObjectKey key = Written(mesh, 1, kReplicas2);
    if (!mesh.Holds(backup, key)) continue;
    ++moved;
    mesh.SqueezeOut(backup);
    EXPECT_FALSE(mesh.Holds(backup, key));
    EXPECT_EQ(mesh.Copies(key), 2u);
    mesh.Crash({1});
    EXPECT_EQ(mesh.Get(backup, key), "x");
  }
  EXPECT_EQ(moved, 1u);
}

TEST(Eviction, A_home_may_be_without_the_value_and_any_of_its_nodes_may_fail) {
  for (NodeId dead = 1; dead <= 5; ++dead) {
    Mesh mesh(5);
    const ObjectKey key = Written(mesh, 2, kReplicas2);
    mesh.SqueezeOut(1);
    ASSERT_FALSE(mesh.Holds(1, key));
    ASSERT_EQ(mesh.Copies(key), 2u);
    mesh.Crash({dead});
    EXPECT_GE(mesh.Copies(key), 2u);
    EXPECT_EQ(mesh.Get(dead == 5 ? 4 : 5, key), "x");
    EXPECT_EQ(mesh.Set(dead == 3 ? 4 : 3, key, "y"), "y");
    EXPECT_EQ(mesh.Get(dead == 2 ? 4 : 2, key), "y");
  }
}

TEST(Eviction, A_home_that_could_do_without_a_value_keeps_it_while_somebody_else_writes) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  mesh.Squeeze(1);
  mesh.Deliver();
  const OpId grab = mesh.Grab(3, key);
  mesh.SqueezeOut(1);
  EXPECT_TRUE(mesh.Holds(1, key));
  mesh.Release(3, grab);
  mesh.Crash({3});
  EXPECT_EQ(mesh.Get(4, key), "x");
}

TEST(Eviction, A_home_keeps_its_copy_if_too_few_others_have_room) {
  Mesh mesh(4, {{3, 0}, {4, 0}});
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  mesh.SqueezeOut(1);
  mesh.SqueezeOut(2);
  EXPECT_EQ(mesh.Copies(key), 2u);
  EXPECT_TRUE(mesh.Holds(1, key));
  EXPECT_TRUE(mesh.Holds(2, key));
}

// A linker may give back more than it was given: a file pads.
TEST(Eviction, What_has_a_linker_is_not_imported_again_for_want_of_room) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kLinked);
  mesh.TakeLinkerWorks();
  mesh.SqueezeOut(1);
  EXPECT_FALSE(mesh.Holds(1, key));
  EXPECT_EQ(mesh.Get(3, key), "x");
  EXPECT_EQ(mesh.Get(1, key), "x");
  EXPECT_EQ(mesh.TakeLinkerWorks(), std::vector<LinkerWork::What>());
  // Nor is a copy left that is older than what it has.
  mesh.SqueezeOut(1);
  EXPECT_EQ(mesh.Set(1, key, "y"), "y");
  EXPECT_EQ(mesh.Get(2, key), "y");
  EXPECT_EQ(mesh.Get(3, key), "y");
}

// Whoever fails, at whatever moment: what was committed with two copies is there, and writable.
TEST(Eviction, A_failure_while_a_copy_moves_loses_nothing) {
  for (const NodeId yields : {1, 2, 3}) {
    for (NodeId dead = 1; dead <= 4; ++dead) {
      for (size_t messages = 0; messages < 12; ++messages) {
        Mesh mesh(4);
        const ObjectKey key = Written(mesh, 2, kReplicas2);
        if (yields == 3) mesh.Release(3, mesh.Grab(3, key));
        mesh.Squeeze(yields);
        for (size_t i = 0; i < messages; ++i) mesh.DeliverOne();
        mesh.Crash({dead});
        const NodeId reader = dead == 4 ? 3 : 4;
        ASSERT_EQ(mesh.Get(reader, key), "x") << yields << " " << dead << " " << messages;
        ASSERT_GE(mesh.Copies(key), 2u);
        ASSERT_EQ(mesh.Set(dead == 2 ? 3 : 2, key, "y"), "y");
        ASSERT_EQ(mesh.Get(reader, key), "y");
      }
    }
  }
}

TEST(Eviction, A_home_that_comes_while_a_copy_moves_knows_who_has_the_object) {
  for (const Durability durability : {kVolatile, kReplicas2, kLinked}) {
    for (size_t messages = 0; messages < 8; ++messages) {
      Mesh mesh(3);
      const ObjectKey key = Mesh::PlacedAt(5, durability);  // who is not there yet
      mesh.Set(2, key, "x");
      mesh.Release(2, mesh.Grab(2, key));
      mesh.Squeeze(2);
      for (size_t i = 0; i < messages; ++i) mesh.DeliverOne();
      mesh.Join(5);
      ASSERT_EQ(mesh.Get(3, key), "x") << messages;
      ASSERT_EQ(mesh.Set(3, key, "y"), "y") << messages;
      ASSERT_EQ(mesh.Get(2, key), "y") << messages;
    }
  }
}

TEST(Eviction, A_recall_that_crosses_a_hand_over_is_answered_by_it) {
  for (const Durability durability : {kVolatile, kReplicas2}) {
    for (const OpKind kind : {OpKind::kGet, OpKind::kGrab}) {
      Mesh mesh(3);
      const ObjectKey key = Written(mesh, 2, durability);
      mesh.Release(2, mesh.Grab(2, key));
      const OpId op = mesh.Begin(3, kind, key);
      ASSERT_TRUE(mesh.DeliverOne());  // the request; the recall is on its way
      mesh.Squeeze(2);
      mesh.Deliver();
      EXPECT_EQ(mesh.Result(op), "x");
      if (kind == OpKind::kGrab) {
        EXPECT_EQ(mesh.Put(3, op, "y"), "y");
      }
      EXPECT_EQ(mesh.Get(2, key), kind == OpKind::kGrab ? "y" : "x");
    }
  }
}

// The home asks the owner whether it still has what a node that died was to get.
TEST(Eviction, A_recall_for_a_node_that_died_is_answered_by_a_hand_over) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kVolatile);
  mesh.Begin(3, OpKind::kGrab, key);
  ASSERT_TRUE(mesh.DeliverOne());  // the request; the recall is on its way
  mesh.Squeeze(2);
  mesh.Change({3}, {});
  mesh.DeliverAllBut(Kind::kYield);
  mesh.Deliver();
  EXPECT_EQ(mesh.Get(4, key), "x");
}

TEST(Eviction, What_is_held_or_asked_for_is_not_given_away) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  const OpId grab = mesh.Grab(2, key);
  mesh.SqueezeOut(2);
  EXPECT_EQ(mesh.engine(2).holder().Access(key), State::kExclusive);
  EXPECT_EQ(mesh.Put(2, grab, "y"), "y");
}

}  // namespace
}  // namespace clustix::kddm
