// SPDX-License-Identifier: Apache-2.0
//
// What becomes of values where there is no room for them, told as short stories.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/engine.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

TEST(Room, A_backup_without_room_keeps_no_old_value_beyond_the_commit_of_the_next) {
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

TEST(Room, A_put_that_finds_no_room_leaves_the_value_and_its_copies_as_they_were) {
  Mesh mesh(3, {{3, 4}});
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas3);
  ASSERT_EQ(mesh.Set(2, key, "old"), "old");
  EXPECT_EQ(mesh.Set(2, key, "much longer"), "no space");
  EXPECT_EQ(mesh.Copies(key), 3u);
  EXPECT_EQ(mesh.Get(3, key), "old");
}

// A backup knew that the committed value counts; then it took the new one, and that is refused by
// another.
TEST(Room, A_put_that_a_failure_leaves_without_room_gives_every_backup_its_value_back) {
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

TEST(Room, A_put_that_may_have_happened_is_kept_even_if_there_is_no_room) {
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
TEST(Room, An_object_that_lacks_copies_for_want_of_room_is_lost_with_the_last_one) {
  for (const NodeId writer : {2, 3, 4}) {
    Mesh mesh(4, {{2, writer == 2 ? SIZE_MAX : 0},
                  {3, writer == 3 ? SIZE_MAX : 0},
                  {4, writer == 4 ? SIZE_MAX : 0}});
    const ObjectKey key = Written(mesh, writer, kReplicas2);
    mesh.Crash({writer});
    EXPECT_EQ(mesh.engine(1).home().Shortage(), 1u);
    EXPECT_TRUE(mesh.engine(1).home().all_settled());
    mesh.Crash({1});
    EXPECT_EQ(mesh.Get(writer == 4 ? 3 : 4, key), "lost");
  }
}

TEST(Room, A_full_node_drops_what_it_has_only_read_and_stays_usable) {
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

TEST(Room, A_cluster_that_is_full_says_so_and_has_all_that_it_took) {
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

TEST(Room, A_copy_that_a_home_counts_on_is_not_dropped_for_room) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  mesh.Get(3, key);
  for (const NodeId node : {1, 2, 3}) mesh.engine(node).MakeRoom(SIZE_MAX);
  EXPECT_EQ(mesh.Copies(key), 2u);
  mesh.Crash({1});
  EXPECT_EQ(mesh.Get(3, key), "x");
}

}  // namespace
}  // namespace clustix::kddm
