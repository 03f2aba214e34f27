// SPDX-License-Identifier: Apache-2.0
//
// What nodes that watch are told, and when.
#include "lib/kddm/watch.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/limits.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

Version VersionOf(Mesh& mesh, OpId op) { return mesh.CompletionOf(op).version; }

TEST(Watch, An_object_s_home_is_told_once_and_tells_of_each_commit_in_one_message) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const OpId watch = mesh.Watch(4, key);
  EXPECT_EQ(mesh.Result(watch), "ok");
  EXPECT_EQ(mesh.engine(1).watchers().size(), 1u);
  EXPECT_EQ(mesh.engine(2).watchers().size(), 0u);
  const OpId set = mesh.Begin(2, OpKind::kSet, key, "x");
  const Told told = mesh.DeliverAll();
  EXPECT_EQ(std::count(told.begin(), told.end(), "changed"), 1);
  const Changes changes = mesh.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].watch, watch);
  EXPECT_FALSE(changes[0].any);
  EXPECT_FALSE(changes[0].removed);
  EXPECT_EQ(changes[0].object, key.object);
  EXPECT_EQ(changes[0].version, VersionOf(mesh, set));
}

TEST(Watch, A_removal_is_told_as_one) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Watch(3, key);
  mesh.Do(2, OpKind::kRemove, key);
  const Changes changes = mesh.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes[0].removed);
}

TEST(Watch, Two_watches_of_one_node_are_told_in_one_message) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Watch(3, key);
  mesh.Watch(3, {.object = 0, .set = key.set}, UINT64_MAX);
  mesh.Begin(2, OpKind::kSet, key, "x");
  const Told told = mesh.DeliverAll();
  EXPECT_EQ(std::count(told.begin(), told.end(), "changed"), 1);
  EXPECT_EQ(mesh.TakeChanges().size(), 2u);
}

TEST(Watch, A_range_has_both_its_ends_and_nothing_beside_them) {
  Mesh mesh(3);
  auto key = [](uint64_t serial) { return Mesh::PlacedAt(1, kReplicas2, serial); };
  mesh.Watch(3, key(10), key(12).object);
  for (uint64_t serial = 9; serial <= 13; ++serial) mesh.Set(2, key(serial), "x");
  ObjectKey other = key(11);
  other.set = MakeSetId(kReplicas2, Placement::kIdBits, 1, 2);
  mesh.Set(2, other, "x");
  std::vector<ObjectId> told;
  for (const Change& change : mesh.TakeChanges()) told.push_back(change.object);
  EXPECT_EQ(told, (std::vector<ObjectId>{key(10).object, key(11).object, key(12).object}));
}

TEST(Watch, Each_commit_of_a_volatile_object_is_told_by_its_owner) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  mesh.Watch(4, key);
  mesh.Set(2, key, "x");
  EXPECT_EQ(mesh.TakeChanges().size(), 1u);
  mesh.Begin(2, OpKind::kSet, key, "y");  // exclusive here: the home hears nothing of it
  EXPECT_EQ(mesh.DeliverAll(), (Told{"changed", "changed-ack"}));
  EXPECT_EQ(mesh.TakeChanges().size(), 1u);
}

TEST(Watch, What_is_committed_while_a_message_is_unanswered_is_told_with_the_next_one) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Watch(3, key);
  OpId set = 0;
  for (int i = 0; i < 5; ++i) {
    set = mesh.Begin(2, OpKind::kSet, key, "x");
    mesh.DeliverAllBut(Kind::kChanged);
    ASSERT_EQ(mesh.Result(set), "x") << "a commit waited for a node that watches";
  }
  const Told told = mesh.DeliverAll();
  EXPECT_EQ(std::count(told.begin(), told.end(), "changed"), 2);
  const Changes changes = mesh.TakeChanges();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[1].version, VersionOf(mesh, set));
}

TEST(Watch, More_objects_than_can_be_named_are_told_as_any) {
  Mesh mesh(3);
  auto key = [](uint64_t serial) { return Mesh::PlacedAt(1, kReplicas2, serial); };
  mesh.Watch(3, key(1), key(1000).object);
  for (uint64_t serial = 1; serial <= 1000; ++serial) {
    mesh.Begin(2, OpKind::kSet, key(serial), "x");
    mesh.DeliverAllBut(Kind::kChanged);
    EXPECT_LE(mesh.engine(1).watchers().untold(), kWatchObjectsMax);
  }
  mesh.Deliver();
  const Changes changes = mesh.TakeChanges();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_FALSE(changes[0].any);
  EXPECT_TRUE(changes[1].any);
  EXPECT_EQ(mesh.engine(1).watchers().untold(), 0u);
}

TEST(Watch, A_home_that_fails_is_followed_by_one_event_and_its_successor_tells) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const OpId watch = mesh.Watch(4, key);
  mesh.Change({1}, {});
  EXPECT_TRUE(mesh.TakeChanges().empty()) << "told before the next home knows of the watch";
  mesh.Deliver();
  Changes changes = mesh.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].watch, watch);
  EXPECT_TRUE(changes[0].any);
  mesh.Set(2, key, "x");
  changes = mesh.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_FALSE(changes[0].any);
}

TEST(Watch, A_home_that_goes_to_a_new_node_leaves_nothing_at_the_old_one) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(9, kReplicas2);
  const NodeId home = mesh.engine(1).homes().HomeOf(key);
  mesh.Watch(3, key);
  EXPECT_EQ(mesh.engine(home).watchers().size(), 1u);
  mesh.Join(9);
  EXPECT_EQ(mesh.engine(home).watchers().size(), 0u);
  EXPECT_EQ(mesh.engine(9).watchers().size(), 1u);
  EXPECT_EQ(mesh.TakeChanges().size(), 1u);
  mesh.Set(2, key, "x");
  EXPECT_EQ(mesh.TakeChanges().size(), 1u);
}

TEST(Watch, A_view_that_leaves_the_home_where_it_is_tells_nothing_of_an_object) {
  Mesh mesh(4);
  mesh.Watch(2, Mesh::PlacedAt(1, kReplicas2));
  mesh.Crash({4});
  mesh.Join(5);
  EXPECT_TRUE(mesh.TakeChanges().empty());
}

TEST(Watch, A_range_is_told_once_of_a_view_that_costs_or_brings_a_member) {
  Mesh mesh(4);
  mesh.Watch(2, Mesh::PlacedAt(1, kReplicas2), UINT64_MAX);
  mesh.Change({4}, {5});
  mesh.Deliver();
  const Changes changes = mesh.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes[0].any);
  mesh.Set(3, Mesh::PlacedAt(5, kReplicas2), "x");
  EXPECT_EQ(mesh.TakeChanges().size(), 1u);
}

TEST(Watch, Nothing_is_left_of_a_watch_that_ended_nor_of_a_node_that_failed) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const OpId object = mesh.Watch(2, key);
  const OpId range = mesh.Watch(2, key, UINT64_MAX);
  mesh.Watch(3, key, UINT64_MAX);
  mesh.Unwatch(2, object);
  mesh.Unwatch(2, range);
  mesh.Unwatch(2, range);
  EXPECT_EQ(mesh.engine(2).watches().size(), 0u);
  EXPECT_EQ(mesh.engine(1).watchers().size(), 1u);
  mesh.Crash({3});
  EXPECT_EQ(mesh.engine(1).watchers().size(), 0u);
  mesh.Set(2, key, "x");
  EXPECT_TRUE(mesh.TakeChanges().empty());
}

TEST(Watch, A_watch_that_has_not_begun_can_be_cancelled) {
  Mesh mesh(2);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  constexpr OpId kWatch = 1000;
  mesh.engine(2).Watch(kWatch, {.set = key.set, .first = key.object, .last = key.object});
  mesh.engine(2).Cancel(kWatch);
  const Outbox out = mesh.engine(2).TakeOutbox();
  ASSERT_EQ(out.completions.size(), 1u);
  EXPECT_EQ(out.completions[0].status, Status::kCancelled);
  EXPECT_EQ(mesh.engine(2).watches().size(), 0u);
}

TEST(Watch, A_node_has_a_bounded_number_of_watches) {
  Mesh mesh(2);
  for (uint64_t i = 0; i < kWatchesMax; ++i) {
    ASSERT_EQ(mesh.Result(mesh.Watch(2, Mesh::PlacedAt(1, kReplicas2, i))), "ok");
  }
  const ObjectKey one_more = Mesh::PlacedAt(1, kReplicas2, kWatchesMax);
  EXPECT_EQ(mesh.Result(mesh.Watch(2, one_more)), "no space");
  EXPECT_EQ(mesh.Result(mesh.Watch(2, one_more, 0)), "bad request") << "ends before it begins";
}

TEST(Watch, A_watch_waits_for_the_first_view) {
  HeapStore store;
  Engine engine(1, {.hash_buckets = 16, .placed_nodes = 8}, store);
  engine.Watch(7, {.set = MakeSetId(kReplicas2, Placement::kHash, 1, 1), .first = 1, .last = 1});
  EXPECT_TRUE(engine.TakeOutbox().empty());
  engine.InstallView({.epoch = 1, .members = {1}});
  const Outbox out = engine.TakeOutbox();
  ASSERT_EQ(out.completions.size(), 1u);
  EXPECT_EQ(out.completions[0].op, 7u);
  EXPECT_EQ(out.completions[0].status, Status::kOk);
}

}  // namespace
}  // namespace clustix::kddm
