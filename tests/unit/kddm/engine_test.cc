// SPDX-License-Identifier: Apache-2.0
//
// What operations cost in messages, and what becomes of values, told as short stories.
#include "lib/kddm/engine.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

using Told = std::vector<std::string>;
constexpr Durability kVolatile = Durability::kVolatile;
constexpr Durability kReplicas2 = Durability::kReplicas2;
constexpr Durability kReplicas3 = Durability::kReplicas3;

TEST(Engine, A_read_miss_takes_two_hops) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  ASSERT_EQ(mesh.Set(2, key, "x"), "x");
  const OpId get = mesh.Begin(3, OpKind::kGet, key);
  EXPECT_EQ(mesh.DeliverUntilEnd(get), (Told{"read", "reply"}));
  EXPECT_EQ(mesh.Result(get), "x");
}

TEST(Engine, A_read_of_what_is_readable_here_sends_nothing) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Get(3, key);
  const OpId get = mesh.Begin(3, OpKind::kGet, key);
  EXPECT_EQ(mesh.Result(get), "x");
  EXPECT_TRUE(mesh.DeliverAll().empty());
}

TEST(Engine, A_read_of_a_volatile_object_that_is_exclusive_elsewhere_takes_three_hops) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  ASSERT_EQ(mesh.Set(2, key, "x"), "x");
  const OpId get = mesh.Begin(3, OpKind::kGet, key);
  EXPECT_EQ(mesh.DeliverUntilEnd(get), (Told{"read", "recall", "reply"}));
  EXPECT_EQ(mesh.Result(get), "x");
}

TEST(Engine, A_replicated_put_takes_one_round_trip_and_leaves_two_copies) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const OpId hold = mesh.Grab(2, key);
  const OpId put = mesh.BeginPut(2, hold, "x");
  EXPECT_EQ(mesh.DeliverUntilEnd(put), (Told{"put", "reply"}));
  EXPECT_EQ(mesh.Copies(key), 2u);
}

TEST(Engine, A_put_with_three_replicas_is_told_only_when_a_third_node_has_it) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas3);
  const OpId hold = mesh.Grab(2, key);
  const OpId put = mesh.BeginPut(2, hold, "x");
  EXPECT_EQ(mesh.DeliverUntilEnd(put), (Told{"put", "backup", "backup-ack", "reply"}));
  EXPECT_EQ(mesh.Copies(key), 3u);
}

TEST(Engine, A_put_of_a_volatile_object_sends_nothing) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  const OpId hold = mesh.Grab(2, key);
  const OpId put = mesh.BeginPut(2, hold, "x");
  EXPECT_EQ(mesh.Result(put), "x");
  EXPECT_TRUE(mesh.DeliverAll().empty());
}

TEST(Engine, A_write_invalidates_all_sharers_before_it_is_granted) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Get(3, key);
  const OpId grab = mesh.Begin(4, OpKind::kGrab, key);
  const Told told = mesh.DeliverUntilEnd(grab);
  EXPECT_EQ(told, (Told{"write", "inv", "inv", "inv-ack", "inv-ack", "reply"}));
  EXPECT_EQ(mesh.engine(2).holder().Access(key), State::kInvalid);
  EXPECT_EQ(mesh.engine(3).holder().Access(key), State::kInvalid);
}

TEST(Engine, Nobody_reads_between_a_grab_and_its_put) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "old");
  const OpId hold = mesh.Grab(2, key);
  const OpId get = mesh.Do(3, OpKind::kGet, key);
  EXPECT_EQ(mesh.Result(get), "");
  EXPECT_EQ(mesh.Put(2, hold, "new"), "new");
  EXPECT_EQ(mesh.Result(get), "new");
}

TEST(Engine, Each_hold_that_others_wait_for_has_the_whole_time) {
  HeapStore store;
  Engine engine(1, {}, store);
  engine.InstallView({.epoch = 1, .members = {1}});
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  std::vector<uint64_t> timers;
  const auto timers_after = [&] {
    for (const HoldTimer& timer : engine.TakeOutbox().hold_timers) timers.push_back(timer.token);
    return timers.size();
  };
  const auto grab = [&](OpId op) {
    engine.Start({.id = op, .kind = OpKind::kGrab, .key = key, .hold = false, .data = nullptr});
  };
  grab(1);
  EXPECT_EQ(timers_after(), 0u) << "nobody waits";
  EXPECT_FALSE(engine.holder().IsAwaited(key));
  grab(2);
  grab(3);
  EXPECT_EQ(timers_after(), 1u);
  EXPECT_TRUE(engine.holder().IsAwaited(key));
  engine.Put(4, 1, Mesh::Text("x"));
  EXPECT_EQ(timers_after(), 2u) << "the second hold has begun, and the third waits";
  engine.ExpireHolds(key, timers[0]);
  EXPECT_TRUE(engine.TakeOutbox().revoked.empty());
  engine.ExpireHolds(key, timers[1]);
  EXPECT_EQ(engine.TakeOutbox().revoked, std::vector<OpId>{2});
}

TEST(Engine, The_first_value_of_a_volatile_object_may_be_read_at_once) {
  struct ReadableStore final : HeapStore {
    void SetReadable(const ObjectKey&, bool now) override { readable = now; }
    bool readable = false;
  } store;
  Engine engine(1, {}, store);
  engine.InstallView({.epoch = 1, .members = {1}});
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  engine.Start({.id = 1, .kind = OpKind::kSet, .key = key, .hold = false, .data = Mesh::Text("x")});
  EXPECT_TRUE(store.readable);
}

TEST(Engine, A_grab_that_is_released_leaves_the_value_as_it_was) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "old");
  const OpId hold = mesh.Grab(3, key);
  mesh.Release(3, hold);
  EXPECT_EQ(mesh.Get(2, key), "old");
  EXPECT_EQ(mesh.Copies(key), 3u);
}

TEST(Engine, A_reader_that_loses_its_copy_while_it_waits_to_write_is_sent_the_new_value) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "0");
  mesh.Get(3, key);
  const OpId first = mesh.Begin(2, OpKind::kGrab, key);
  const OpId second = mesh.Begin(3, OpKind::kGrab, key);
  mesh.Deliver();
  ASSERT_EQ(mesh.Result(first), "0");
  ASSERT_EQ(mesh.Result(second), "");
  mesh.Put(2, first, "1");
  EXPECT_EQ(mesh.Result(second), "1");
}

// The other writer gave the object back unused, so that the version is still the one that the
// reader had when it asked.
TEST(Engine, A_reader_that_loses_its_copy_to_a_grab_that_is_released_is_sent_the_value_again) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Get(3, key);
  const OpId first = mesh.Begin(4, OpKind::kGrab, key);
  const OpId second = mesh.Begin(3, OpKind::kGrab, key);
  mesh.Deliver();
  ASSERT_EQ(mesh.Result(first), "x");
  ASSERT_EQ(mesh.Result(second), "");
  mesh.Release(4, first);
  EXPECT_EQ(mesh.Result(second), "x");
}

TEST(Engine, First_touch_makes_an_object_once) {
  Mesh mesh(3);
  for (const Durability durability : {kVolatile, kReplicas2, kReplicas3}) {
    const ObjectKey key = Mesh::PlacedAt(1, durability);
    const OpId one = mesh.Begin(2, OpKind::kTouch, key, "one");
    const OpId two = mesh.Begin(3, OpKind::kTouch, key, "two");
    mesh.Deliver();
    EXPECT_EQ(mesh.Result(one), mesh.Result(two));
  }
}

TEST(Engine, A_removed_object_is_not_found_and_its_next_version_is_higher) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const Version before = mesh.CompletionOf(mesh.Do(2, OpKind::kSet, key, "x")).version;
  EXPECT_EQ(mesh.Result(mesh.Do(3, OpKind::kRemove, key)), "ok");
  EXPECT_EQ(mesh.Get(2, key), "not found");
  EXPECT_EQ(mesh.Copies(key), 0u);
  const Version after = mesh.CompletionOf(mesh.Do(3, OpKind::kSet, key, "y")).version;
  EXPECT_GT(after, before);
}

TEST(Engine, A_home_remembers_a_bounded_number_of_removed_objects) {
  Mesh mesh(2);
  for (uint64_t i = 0; i < kTombstones + 10; ++i) {
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas2, i + 1);
    mesh.Set(2, key, "x");
    mesh.Do(2, OpKind::kRemove, key);
  }
  EXPECT_EQ(mesh.engine(1).home().directory().table().size(), kTombstones);
}

TEST(Engine, Find_never_asks_anybody) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  EXPECT_EQ(mesh.Result(mesh.Begin(3, OpKind::kFind, key)), "not found");
  EXPECT_TRUE(mesh.DeliverAll().empty());
  EXPECT_EQ(mesh.Result(mesh.Begin(2, OpKind::kFind, key)), "x");
}

TEST(Engine, Objects_may_grow_and_shrink_between_one_byte_and_the_limit) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const std::string largest(kObjectBytesMax, 'x');
  EXPECT_EQ(mesh.Set(2, key, largest), largest);
  EXPECT_EQ(mesh.Set(3, key, "y"), "y");
  EXPECT_EQ(mesh.Get(2, key), "y");
  EXPECT_EQ(mesh.Set(2, key, largest + "x"), "bad request");
}

TEST(Engine, A_cancelled_operation_ends_once_and_the_object_stays_usable) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const OpId hold = mesh.Grab(2, key);
  const OpId waiting = mesh.Do(3, OpKind::kGrab, key);
  mesh.engine(3).Cancel(waiting);
  mesh.Release(2, hold);
  EXPECT_EQ(mesh.Set(3, key, "x"), "x");
  EXPECT_EQ(mesh.Get(2, key), "x");
}

TEST(Engine, Any_single_node_may_fail_and_no_replicated_value_is_lost) {
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

TEST(Engine, Without_a_surviving_copy_the_object_is_lost_until_somebody_sets_it) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Crash({1, 2});  // the home and the writer, at once
  EXPECT_EQ(mesh.Get(3, key), "lost");
  EXPECT_EQ(mesh.Result(mesh.Do(4, OpKind::kTouch, key, "made again")), "lost");
  EXPECT_EQ(mesh.Set(4, key, "y"), "y");
  EXPECT_EQ(mesh.Get(3, key), "y");
}

TEST(Engine, Failures_one_after_the_other_lose_nothing_as_long_as_two_nodes_are_left) {
  Mesh mesh(6);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  for (const NodeId victim : {1, 2, 3, 4}) {
    mesh.Crash({static_cast<NodeId>(victim)});
    EXPECT_GE(mesh.Copies(key), 2u) << "after node " << victim;
  }
  EXPECT_EQ(mesh.Get(6, key), "x");
}

// tests/model/kddm.pml found it: the home told the node that had just backed the value up to drop
// what it had told it to drop before.
TEST(Engine, A_backup_that_overtakes_the_dropping_of_an_old_copy_stays) {
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
TEST(Engine, A_put_that_is_asked_again_is_served_before_its_value_is_invalidated) {
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

TEST(Engine, A_sync_reaches_the_linker_after_the_puts_of_its_node) {
  using What = LinkerWork::What;
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, Durability::kLinked);
  mesh.Set(3, key, "w");
  mesh.TakeLinkerWorks();
  const OpId set = mesh.Begin(2, OpKind::kSet, key, "x");
  const OpId sync = mesh.Begin(2, OpKind::kSync, key);
  mesh.DeliverUntilEnd(set);
  EXPECT_EQ(mesh.Result(sync), "");
  EXPECT_EQ(mesh.DeliverUntilEnd(sync), (Told{"sync", "reply"}));
  EXPECT_EQ(mesh.Result(sync), "ok");
  EXPECT_EQ(mesh.TakeLinkerWorks(), (std::vector{What::kExport, What::kSync}));
}

TEST(Engine, A_sync_that_the_home_does_not_answer_is_asked_for_again_at_the_next_one) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, Durability::kLinked);
  ASSERT_EQ(mesh.Set(2, key, "x"), "x");
  const OpId sync = mesh.Begin(2, OpKind::kSync, key);
  mesh.Crash({1});
  EXPECT_EQ(mesh.Result(sync), "ok");
  EXPECT_EQ(mesh.TakeLinkerWorks().back(), LinkerWork::What::kSync);
  EXPECT_EQ(mesh.Get(3, key), "x");
}

TEST(Engine, What_a_linker_has_of_itself_is_asked_for_again_once_it_was_taken_back) {
  using What = LinkerWork::What;
  const std::string none = StatusName(Status::kNotFound);
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, Durability::kLinked);
  mesh.Show(key, "old");
  EXPECT_EQ(mesh.Get(2, key), "old");
  mesh.Show(key, "new");
  EXPECT_EQ(mesh.Get(3, key), "old") << "until it is taken back";
  mesh.Do(1, OpKind::kRemove, key);
  EXPECT_EQ(mesh.TakeLinkerWorks(), (std::vector{What::kImport, What::kRemove}));
  EXPECT_EQ(mesh.Get(2, key), "new");
  EXPECT_EQ(mesh.Get(3, key), "new");
  EXPECT_EQ(mesh.TakeLinkerWorks(), (std::vector{What::kImport}));
  mesh.Do(1, OpKind::kRemove, key);
  // What was not there when somebody asked may be when the next one does.
  mesh.Show(key, "");
  EXPECT_EQ(mesh.Get(2, key), none);
  mesh.Show(key, "again");
  EXPECT_EQ(mesh.Get(3, key), "again");
}

TEST(Engine, A_sync_of_what_has_no_linker_waits_for_puts_and_sends_nothing) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const OpId set = mesh.Begin(2, OpKind::kSet, key, "x");
  const OpId sync = mesh.Begin(2, OpKind::kSync, key);
  mesh.DeliverUntilEnd(set);
  EXPECT_EQ(mesh.Result(sync), "ok");
  EXPECT_TRUE(mesh.DeliverAll().empty());
}

TEST(Engine, A_volatile_object_that_was_moved_is_exclusively_where_it_went) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  mesh.Set(2, key, "x");
  const OpId move = mesh.Migrate(4, key, 3);
  mesh.Deliver();
  EXPECT_EQ(mesh.Result(move), "ok");
  EXPECT_EQ(mesh.engine(3).holder().Access(key), State::kExclusive);
  EXPECT_EQ(mesh.Result(mesh.Begin(3, OpKind::kSet, key, "y")), "y");
  EXPECT_TRUE(mesh.DeliverAll().empty());
  EXPECT_EQ(mesh.Get(2, key), "y");
}

TEST(Engine, A_replicated_object_that_was_moved_is_read_where_it_went_without_a_message) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  const OpId move = mesh.Migrate(2, key, 3);
  mesh.Deliver();
  EXPECT_EQ(mesh.Result(move), "ok");
  EXPECT_EQ(mesh.Result(mesh.Begin(3, OpKind::kGet, key)), "x");
  EXPECT_TRUE(mesh.DeliverAll().empty());
}

TEST(Engine, A_move_waits_for_a_hold_and_tells_what_became_of_it) {
  Mesh mesh(4);
  for (const Durability durability : {kVolatile, kReplicas2}) {
    const ObjectKey key = Mesh::PlacedAt(1, durability);
    const OpId none = mesh.Migrate(2, key, 3);
    mesh.Deliver();
    EXPECT_EQ(mesh.Result(none), "not found");
    EXPECT_EQ(mesh.engine(3).holder().Find(key), nullptr) << "it was made by moving it";
    mesh.Set(2, key, "x");
    const OpId hold = mesh.Grab(2, key);
    const OpId move = mesh.Migrate(4, key, 3);
    mesh.Deliver();
    EXPECT_EQ(mesh.Result(move), "");
    mesh.Release(2, hold);
    EXPECT_EQ(mesh.Result(move), "ok");
    EXPECT_EQ(mesh.engine(3).migrations().size() + mesh.engine(4).migrations().size(), 0u);
  }
}

TEST(Engine, Moves_of_one_object_to_one_node_all_end) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  mesh.Set(2, key, "x");
  const OpId hold = mesh.Grab(2, key);
  std::vector<OpId> moves;
  for (const NodeId node : {1, 3, 4}) moves.push_back(mesh.Migrate(node, key, 3));
  mesh.Deliver();
  mesh.Release(2, hold);
  for (const OpId move : moves) EXPECT_EQ(mesh.Result(move), "ok");
  EXPECT_EQ(mesh.Set(3, key, "y"), "y");
}

TEST(Engine, A_move_to_a_node_that_is_no_member_or_fails_ends) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  EXPECT_EQ(mesh.Result(mesh.Migrate(2, key, 9)), "unavailable");
  const OpId move = mesh.Migrate(2, key, 4);
  mesh.Crash({4});
  EXPECT_EQ(mesh.Result(move), "unavailable");
  EXPECT_EQ(mesh.Get(3, key), "x");
}

TEST(Engine, A_volatile_value_is_lost_with_the_node_that_wrote_it) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  mesh.Set(2, key, "x");
  mesh.Crash({2});
  EXPECT_EQ(mesh.Get(3, key), "lost");
}

// The demoted copy of the last owner would speak for the grantee, if that counted as alive because
// a node of its name has come back.
TEST(Engine, A_volatile_value_is_lost_with_its_writer_though_the_node_comes_back) {
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
TEST(Engine, A_volatile_object_passes_on_only_when_the_owner_before_the_last_has_dropped_its_copy) {
  Mesh mesh(4);
  const ObjectKey key = Mesh::PlacedAt(1, kVolatile);
  mesh.Set(2, key, "x");
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
TEST(Engine, Two_failures_lose_nothing_of_three_copies_of_what_is_grabbed_after_an_earlier_one) {
  for (NodeId owner = 3; owner <= 6; ++owner) {
    Mesh mesh(6);
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas3);
    mesh.Set(2, key, "x");
    mesh.Grab(owner, key);
    mesh.Crash({2});
    ASSERT_TRUE(mesh.engine(1).home().all_settled());
    mesh.Crash({1, owner});
    EXPECT_EQ(mesh.Get(owner == 6 ? 5 : 6, key), "x") << owner;
  }
}

TEST(Engine, A_home_that_comes_takes_over_what_is_placed_at_it) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(9, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Join(9);
  EXPECT_EQ(mesh.engine(9).homes().HomeOf(key), 9);
  EXPECT_EQ(mesh.Get(3, key), "x");
  EXPECT_TRUE(mesh.engine(9).home().all_settled());
}

TEST(Engine, A_holder_of_a_grab_that_fails_leaves_the_committed_value) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "committed");
  mesh.Grab(3, key);
  mesh.Crash({3});
  EXPECT_EQ(mesh.Get(2, key), "committed");
}

// A home fails between two of the steps by which it grants itself an object that another node gave
// back unused: the backups are told one after the other, and none may be told to stand back first.
TEST(Engine, A_grab_that_came_back_unused_costs_no_copy_when_the_home_writes_next_and_fails) {
  for (int delivered = 0; delivered < 12; ++delivered) {
    Mesh mesh(4);
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
    mesh.Set(2, key, "x");
    const OpId hold = mesh.Grab(3, key);
    mesh.Release(3, hold);
    mesh.Begin(1, OpKind::kGrab, key);
    for (int i = 0; i < delivered; ++i) mesh.DeliverOne();
    mesh.Crash({1});
    EXPECT_EQ(mesh.Get(4, key), "x") << "after " << delivered << " messages";
  }
}

// The commit is asked for again at the next home, whatever the first has done of it.
TEST(Engine, A_put_whose_home_fails_at_any_moment_happens_once) {
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

TEST(Engine, A_removal_whose_home_fails_at_any_moment_happens_once) {
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
TEST(Engine, An_owner_and_the_bucket_s_home_may_change_at_once_after_an_earlier_failure) {
  for (const NodeId writer : {2, 3, 4}) {
    for (const NodeId owner : {2, 3, 4}) {
      Mesh mesh(4);
      const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
      mesh.Set(writer, key, "x");
      mesh.Grab(owner, key);
      mesh.Crash({1});
      mesh.Change({owner}, {1});  // the new node is home again
      mesh.Deliver();
      EXPECT_EQ(mesh.Get(1, key), "x") << writer << " wrote, " << owner << " grabbed";
    }
  }
}

// The copy that is held will be put aside for the grant to a node that is dead by then.
TEST(Engine, A_cluster_is_not_settled_while_an_invalidation_for_a_dead_writer_is_under_way) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(1, key, "x");
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
TEST(Engine, A_backup_that_stood_back_for_a_dead_node_counts_again_before_a_grant_to_it) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
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
TEST(Engine, What_a_home_knows_survives_two_moves_of_the_bucket_at_once) {
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

TEST(Engine, A_backup_without_room_keeps_no_old_value_beyond_the_commit_of_the_next) {
  size_t stories = 0;
  for (NodeId full = 3; full <= 5; ++full) {
    Mesh mesh(5, {{full, 4}});
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas3);
    mesh.Set(2, key, "old");
    if (mesh.engine(full).holder().Find(key) == nullptr) continue;
    ++stories;
    const OpId put = mesh.Begin(2, OpKind::kSet, key, "much longer");
    while (mesh.DeliverOne()) {
      const Copy* old = mesh.engine(full).holder().Find(key);
      const DirEntry* entry = mesh.engine(1).home().directory().table().Find(key);
      EXPECT_FALSE(old != nullptr && old->version < entry->version) << "it would vouch for it";
    }
    EXPECT_EQ(mesh.Result(put), "much longer");
    EXPECT_EQ(mesh.Copies(key), 3u);
  }
  EXPECT_GT(stories, 0u);
}

TEST(Engine, A_put_that_finds_no_room_leaves_the_value_and_its_copies_as_they_were) {
  Mesh mesh(3, {{3, 4}});
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas3);
  ASSERT_EQ(mesh.Set(2, key, "old"), "old");
  EXPECT_EQ(mesh.Set(2, key, "much longer"), "no space");
  EXPECT_EQ(mesh.Copies(key), 3u);
  EXPECT_EQ(mesh.Get(3, key), "old");
}

// A backup knew that the committed value counts; then it took the new one, and that is refused by
// another.
TEST(Engine, A_put_that_a_failure_leaves_without_room_gives_every_backup_its_value_back) {
  size_t stories = 0;
  for (NodeId full = 2; full <= 4; ++full) {
    Mesh mesh(4, {{full, 4}});
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas3);
    mesh.Set(1, key, "old");
    if (mesh.engine(full).holder().Find(key) != nullptr) continue;
    ++stories;
    const NodeId taker = full == 2 ? 3 : 2, dead = static_cast<NodeId>(9 - full - taker);
    const OpId put = mesh.Begin(1, OpKind::kSet, key, "much longer");
    ASSERT_TRUE(mesh.DeliverFirst(Kind::kBackup, taker));
    ASSERT_TRUE(mesh.DeliverFirst(Kind::kBackupAck));
    mesh.Crash({dead});
    EXPECT_EQ(mesh.Result(put), "no space");
    EXPECT_EQ(mesh.Get(taker, key), "old");
  }
  EXPECT_GT(stories, 0u);
}

TEST(Engine, A_put_that_may_have_happened_is_kept_even_if_there_is_no_room) {
  for (const NodeId writer : {2, 3}) {
    const NodeId full = static_cast<NodeId>(5 - writer);
    Mesh mesh(3, {{full, 4}});
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
    mesh.Set(writer, key, "old");
    const OpId put = mesh.Begin(writer, OpKind::kSet, key, "much longer");
    mesh.DeliverAllBut(Kind::kReply);
    mesh.DeliverFirst(Kind::kReply);  // the grant
    mesh.DeliverAllBut(Kind::kReply);
    ASSERT_EQ(mesh.Result(put), "");
    mesh.Crash({1});
    EXPECT_EQ(mesh.Result(put), "much longer");
    EXPECT_EQ(mesh.Get(full, key), "much longer");
  }
}

// The copy that a failure cost finds no room. When its last holder fails, too, it is lost, not
// absent.
TEST(Engine, An_object_that_lacks_copies_for_want_of_room_is_lost_with_the_last_one) {
  for (const NodeId writer : {2, 3, 4}) {
    Mesh mesh(4, {{2, writer == 2 ? SIZE_MAX : 0},
                  {3, writer == 3 ? SIZE_MAX : 0},
                  {4, writer == 4 ? SIZE_MAX : 0}});
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
    ASSERT_EQ(mesh.Set(writer, key, "x"), "x");
    mesh.Crash({writer});
    EXPECT_EQ(mesh.engine(1).home().Shortage(), 1u);
    EXPECT_TRUE(mesh.engine(1).home().all_settled());
    mesh.Crash({1});
    EXPECT_EQ(mesh.Get(writer == 4 ? 3 : 4, key), "lost");
  }
}

TEST(Engine, A_full_node_drops_what_it_has_only_read_and_stays_usable) {
  Mesh mesh(3, {{3, 10}});
  constexpr uint64_t kObjects = 20;
  for (uint64_t i = 1; i <= kObjects; ++i) {
    mesh.Set(2, Mesh::PlacedAt(1, kReplicas2, i), "12345");
  }
  for (uint64_t i = 1; i <= kObjects; ++i) {
    EXPECT_EQ(mesh.Get(3, Mesh::PlacedAt(1, kReplicas2, i)), "12345");
    EXPECT_LE(mesh.engine(3).holder().copies().size(), 2u);
  }
  EXPECT_EQ(mesh.Set(3, Mesh::PlacedAt(3, kVolatile, 1), "1234567890"), "1234567890");
  EXPECT_EQ(mesh.Get(3, Mesh::PlacedAt(1, kReplicas2, 1)), "12345");
}

TEST(Engine, A_cluster_that_is_full_says_so_and_has_all_that_it_took) {
  Mesh mesh(4, {{1, 200}, {2, 200}, {3, 200}, {4, 200}});
  constexpr uint64_t kObjects = 200;
  auto key = [](uint64_t i) {
    return ObjectKey{.object = i, .set = MakeSetId(kReplicas2, Placement::kHash, 1, 1)};
  };
  std::vector<uint64_t> taken;
  size_t refused = 0;
  for (uint64_t i = 1; i <= kObjects; ++i) {
    const std::string told = mesh.Set(static_cast<NodeId>(i % 4 + 1), key(i), "12345");
    if (told == "12345") {
      taken.push_back(i);
    } else {
      EXPECT_EQ(told, "no space");
      ++refused;
    }
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GE(taken.size(), 60u) << "of 80 that fit twice";
  for (const uint64_t i : taken) {
    for (NodeId node = 1; node <= 4; ++node) ASSERT_EQ(mesh.Get(node, key(i)), "12345") << i;
    EXPECT_GE(mesh.Copies(key(i)), 2u);
  }
  // What is removed makes room again.
  for (const uint64_t i : taken) mesh.Do(1, OpKind::kRemove, key(i));
  EXPECT_EQ(mesh.Set(2, key(kObjects + 1), "12345"), "12345");
}

TEST(Engine, A_copy_that_a_home_counts_on_is_not_dropped_for_room) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Get(3, key);
  for (const NodeId node : {1, 2, 3}) mesh.engine(node).MakeRoom(SIZE_MAX);
  EXPECT_EQ(mesh.Copies(key), 2u);
  mesh.Crash({1});
  EXPECT_EQ(mesh.Get(3, key), "x");
}

}  // namespace
}  // namespace clustix::kddm
