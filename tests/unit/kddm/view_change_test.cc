// SPDX-License-Identifier: Apache-2.0
//
// What views that lose and gain nodes leave of values, told as short stories. Those of single
// steps stand in failure_test.cc.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/engine.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

TEST(Views, Any_single_node_may_fail_and_no_replicated_value_is_lost) {
  for (NodeId victim = 1; victim <= 4; ++victim) {
    Mesh mesh(4);
    std::vector<ObjectKey> keys;
    for (NodeId home = 1; home <= 4; ++home) keys.push_back(Mesh::PlacedAt(home, kReplicas2));
    for (const ObjectKey& key : keys) ASSERT_EQ(mesh.Set(2, key, "x"), "x");
    mesh.Crash({victim});
    const NodeId reader = victim == 3 ? 4 : 3;
    for (const ObjectKey& key : keys) EXPECT_EQ(mesh.Get(reader, key), "x") << victim;
    for (const ObjectKey& key : keys) EXPECT_GE(mesh.Copies(key), 2u) << victim;
  }
}

TEST(Views, Without_a_surviving_copy_the_object_is_lost_until_somebody_sets_it) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  mesh.Crash({1, 2});  // the home and the writer, at once
  EXPECT_EQ(mesh.Get(3, key), "lost");
  EXPECT_EQ(mesh.Result(mesh.Do(4, OpKind::kTouch, key, "made again")), "lost");
  EXPECT_EQ(mesh.Set(4, key, "y"), "y");
  EXPECT_EQ(mesh.Get(3, key), "y");
}

TEST(Views, Failures_one_after_the_other_lose_nothing_as_long_as_two_nodes_are_left) {
  Mesh mesh(6);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  for (const NodeId victim : {1, 2, 3, 4}) {
    mesh.Crash({static_cast<NodeId>(victim)});
    EXPECT_GE(mesh.Copies(key), 2u) << "after node " << victim;
  }
  EXPECT_EQ(mesh.Get(6, key), "x");
}

// tests/model/kddm.pml found it: the home told the node that had just backed the value up to drop
// what it had told it to drop before.
TEST(Views, A_backup_that_overtakes_the_dropping_of_an_old_copy_stays) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const std::string large(64 * 1024, 'x');  // on the other lane than small messages
  mesh.Set(2, key, "old");
  const OpId set = mesh.Begin(3, OpKind::kSet, key, large);
  ASSERT_TRUE(mesh.DeliverUntilTold(Kind::kPut));
  ASSERT_TRUE(mesh.DeliverFirst(Kind::kReply));
  ASSERT_TRUE(mesh.Result(set) == large);
  mesh.Change({3}, {});
  ASSERT_TRUE(mesh.DeliverFirst(Kind::kBackup));
  mesh.Deliver();
  EXPECT_EQ(mesh.Copies(key), 2u);
  mesh.Crash({1});
  EXPECT_TRUE(mesh.Get(2, key) == large);
}

// tests/model/kddm.pml found it: the new home waited for the writer's answer to an invalidation,
// and the writer for the answer to its put.
TEST(Views, A_put_that_is_asked_again_is_served_before_its_value_is_invalidated) {
  Mesh mesh(3);
  ObjectKey key = {.object = 1, .set = MakeSetId(kReplicas2, Placement::kHash, 1, 1)};
  const HomeMap& homes = mesh.engine(1).homes();
  const std::vector<NodeId> home_after_home = {1, 2, 3};
  while (homes.Rank(homes.BucketOf(key)) != home_after_home) ASSERT_LT(++key.object, 10'000u);
  const std::string large(64 * 1024, 'x');  // on the other lane than small messages
  const OpId set = mesh.Begin(3, OpKind::kSet, key, large);
  ASSERT_TRUE(mesh.DeliverUntilTold(Kind::kPut));
  mesh.Begin(2, OpKind::kGet, key);
  ASSERT_TRUE(mesh.DeliverFirst(Kind::kRead, 1));
  ASSERT_TRUE(mesh.DeliverFirst(Kind::kReply, 2));
  mesh.Change({1}, {});
  const OpId grab = mesh.Begin(2, OpKind::kGrab, key);
  mesh.DeliverAllBut(Kind::kPut);
  mesh.Deliver();
  EXPECT_TRUE(mesh.Result(set) == large);
  EXPECT_TRUE(mesh.Result(grab) == large);
  EXPECT_EQ(mesh.Copies(key), 2u);
}

TEST(Views, A_volatile_value_is_lost_with_the_node_that_wrote_it) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kVolatile);
  mesh.Crash({2});
  EXPECT_EQ(mesh.Get(3, key), "lost");
}

// The demoted copy of the last owner would speak for the grantee, if that counted as alive because
// a node of its name has come back.
TEST(Views, A_volatile_value_is_lost_with_its_writer_though_the_node_comes_back) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  mesh.Set(2, key, "old");
  const OpId set = mesh.Begin(3, OpKind::kSet, key, "new");
  ASSERT_TRUE(mesh.DeliverUntilTold(Kind::kReply));
  ASSERT_EQ(mesh.Result(set), "new");
  mesh.Change({3}, {});
  mesh.Change({1}, {3});
  mesh.Deliver();
  EXPECT_EQ(mesh.Get(4, key), "lost");
}

// Otherwise the first owner's copy would be taken for current if the home and the third owner
// failed, for its grantee, the second, lives.
TEST(Views, A_volatile_object_passes_on_only_when_the_owner_before_the_last_has_dropped_its_copy) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kVolatile);
  ASSERT_TRUE(mesh.Result(mesh.Begin(3, OpKind::kSet, key, "y")).empty());
  mesh.DeliverAllBut(Kind::kInv);
  const OpId third = mesh.Begin(4, OpKind::kSet, key, "z");
  mesh.DeliverAllBut(Kind::kInv);
  EXPECT_EQ(mesh.Result(third), "");
  mesh.Deliver();
  EXPECT_EQ(mesh.Result(third), "z");
  EXPECT_EQ(mesh.engine(2).holder().Find(key), nullptr);
}

// A backup that the commit would not have needed, and that stood back for the grant, is needed
// once another backup has failed.
TEST(Views, Two_failures_lose_nothing_of_three_copies_of_what_is_grabbed_after_an_earlier_one) {
  for (NodeId owner = 3; owner <= 6; ++owner) {
    Mesh mesh(6);
    const ObjectKey key = Written(mesh, 2, kReplicas3);
    mesh.Grab(owner, key);
    mesh.Crash({2});
    ASSERT_TRUE(mesh.engine(1).home().all_settled());
    mesh.Crash({1, owner});
    EXPECT_EQ(mesh.Get(owner == 6 ? 5 : 6, key), "x") << owner;
  }
}

TEST(Views, A_home_that_comes_takes_over_what_is_placed_at_it) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(9, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Join(9);
  EXPECT_EQ(mesh.engine(9).homes().HomeOf(key), 9);
  EXPECT_EQ(mesh.Get(3, key), "x");
  EXPECT_TRUE(mesh.engine(9).home().all_settled());
}

TEST(Views, A_holder_of_a_grab_that_fails_leaves_the_committed_value) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "committed");
  mesh.Grab(3, key);
  mesh.Crash({3});
  EXPECT_EQ(mesh.Get(2, key), "committed");
}

// A home fails between two of the steps by which it grants itself an object that another node gave
// back unused: the backups are told one after the other, and none may be told to stand back first.
TEST(Views, A_grab_that_came_back_unused_costs_no_copy_when_the_home_writes_next_and_fails) {
  for (int delivered = 0; delivered < 12; ++delivered) {
    Mesh mesh(4);
    const ObjectKey key = Written(mesh, 2, kReplicas2);
    const OpId hold = mesh.Grab(3, key);
    mesh.Release(3, hold);
    mesh.Begin(1, OpKind::kGrab, key);
    for (int i = 0; i < delivered; ++i) mesh.DeliverOne();
    mesh.Crash({1});
    EXPECT_EQ(mesh.Get(4, key), "x") << "after " << delivered << " messages";
  }
}

// The commit is asked for again at the next home, whatever the first has done of it.
TEST(Views, A_put_whose_home_fails_at_any_moment_happens_once) {
  for (const Durability durability : {kReplicas2, kReplicas3}) {
    for (int delivered = 0; delivered < 12; ++delivered) {
      Mesh mesh(5);
      const ObjectKey key = Mesh::PlacedAt(1, durability);
      mesh.Set(3, key, "old");
      const OpId hold = mesh.Grab(2, key);
      const OpId put = mesh.BeginPut(2, hold, "new");
      for (int i = 0; i < delivered; ++i) mesh.DeliverOne();
      mesh.Crash({1});
      EXPECT_EQ(mesh.Result(put), "new") << "after " << delivered << " messages";
      EXPECT_EQ(mesh.Get(4, key), "new");
    }
  }
}

TEST(Views, A_removal_whose_home_fails_at_any_moment_happens_once) {
  for (int delivered = 0; delivered < 16; ++delivered) {
    Mesh mesh(4);
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
    mesh.Set(3, key, "old");
    const OpId removal = mesh.Begin(2, OpKind::kRemove, key);
    for (int i = 0; i < delivered; ++i) mesh.DeliverOne();
    mesh.Crash({1});
    EXPECT_EQ(mesh.Result(removal), "ok") << "after " << delivered << " messages";
    EXPECT_EQ(mesh.Get(4, key), "not found");
  }
}

// The next home's copy, too, was put aside for the grant to the owner; but from then on nothing is
// committed without that home.
TEST(Views, An_owner_and_the_bucket_s_home_may_change_at_once_after_an_earlier_failure) {
  for (const NodeId writer : {2, 3, 4}) {
    for (const NodeId owner : {2, 3, 4}) {
      Mesh mesh(4);
      const ObjectKey key = Written(mesh, writer, kReplicas2);
      mesh.Grab(owner, key);
      mesh.Crash({1});
      mesh.Change({owner}, {1});  // the new node is home again
      mesh.Deliver();
      EXPECT_EQ(mesh.Get(1, key), "x") << writer << " wrote, " << owner << " grabbed";
    }
  }
}

// The copy that is held will be put aside for the grant to a node that is dead by then.
TEST(Views, A_cluster_is_not_settled_while_an_invalidation_for_a_dead_writer_is_under_way) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 1, kReplicas2);
  const NodeId backup = mesh.engine(2).holder().Find(key) != nullptr ? 2 : 3;
  const NodeId writer = static_cast<NodeId>(5 - backup);
  const OpId hold = mesh.Hold(backup, key);
  mesh.Grab(writer, key);
  mesh.Crash({writer});
  EXPECT_FALSE(mesh.engine(1).home().all_settled());
  mesh.Release(backup, hold);
  EXPECT_TRUE(mesh.engine(1).home().all_settled());
  mesh.Crash({1});
  EXPECT_EQ(mesh.Get(backup, key), "x");
}

// The writer to be is the only backup, and was told to stand back for a node that has failed since.
// The grant, on the lane of large values, may arrive later than all else.
TEST(Views, A_backup_that_stood_back_for_a_dead_node_counts_again_before_a_grant_to_it) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  mesh.Grab(3, key);
  const OpId grab = mesh.Begin(2, OpKind::kGrab, key);
  EXPECT_TRUE(mesh.DeliverUntilTold(Kind::kRecall));  // which has to wait
  mesh.Change({3}, {});
  mesh.DeliverAllBut(Kind::kReply);
  ASSERT_TRUE(mesh.engine(1).home().all_settled());
  mesh.Crash({1});
  EXPECT_EQ(mesh.Result(grab), "x");
}

// Only the first home knew that the object is lost, and the second had no time to learn it.
TEST(Views, What_a_home_knows_survives_two_moves_of_the_bucket_at_once) {
  size_t stories = 0;
  for (NodeId third = 9; third < 32; ++third) {
    Mesh mesh(3);
    const ObjectKey key = Mesh::PlacedAt(third, kVolatile);
    const NodeId home = mesh.engine(1).homes().HomeOf(key);
    const NodeId writer = home % 3 + 1, other = writer % 3 + 1;
    ASSERT_EQ(mesh.Set(writer, key, "x"), "x");
    mesh.Crash({writer});
    ASSERT_EQ(mesh.Get(other, key), "lost");
    mesh.Change({}, {8});
    if (mesh.engine(home).homes().HomeOf(key) == 8) ++stories;
    mesh.Change({}, {third});
    mesh.Deliver();
    EXPECT_EQ(mesh.Get(third, key), "lost") << third;
  }
  EXPECT_GT(stories, 0u);
}

}  // namespace
}  // namespace clustix::kddm
