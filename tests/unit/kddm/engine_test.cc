// SPDX-License-Identifier: Apache-2.0
//
// What operations cost in messages, and what they leave, told as short stories.
#include "lib/kddm/engine.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

TEST(Engine, A_read_miss_takes_two_hops) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  const OpId get = mesh.Begin(3, OpKind::kGet, key);
  EXPECT_EQ(mesh.DeliverUntilEnd(get), (Told{"read", "reply"}));
  EXPECT_EQ(mesh.Result(get), "x");
}

TEST(Engine, A_read_of_what_is_readable_here_sends_nothing) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  mesh.Get(3, key);
  const OpId get = mesh.Begin(3, OpKind::kGet, key);
  EXPECT_EQ(mesh.Result(get), "x");
  EXPECT_TRUE(mesh.DeliverAll().empty());
}

TEST(Engine, A_read_of_a_volatile_object_that_is_exclusive_elsewhere_takes_three_hops) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kVolatile);
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
  const ObjectKey key = Written(mesh, 2, kReplicas2);
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
  const ObjectKey key = Written(mesh, 2, kReplicas2);
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
  const ObjectKey key = Written(mesh, 2, kReplicas2);
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

}  // namespace
}  // namespace clustix::kddm
