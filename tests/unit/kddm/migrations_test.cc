// SPDX-License-Identifier: Apache-2.0
//
// How objects move to other nodes, told as short stories.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/engine.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

TEST(Migrations, A_volatile_object_that_was_moved_is_exclusively_where_it_went) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kVolatile);
  const OpId move = mesh.Migrate(4, key, 3);
  mesh.Deliver();
  EXPECT_EQ(mesh.Result(move), "ok");
  EXPECT_EQ(mesh.engine(3).holder().Access(key), State::kExclusive);
  EXPECT_EQ(mesh.Result(mesh.Begin(3, OpKind::kSet, key, "y")), "y");
  EXPECT_TRUE(mesh.DeliverAll().empty());
  EXPECT_EQ(mesh.Get(2, key), "y");
}

TEST(Migrations, A_replicated_object_that_was_moved_is_read_where_it_went_without_a_message) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  const OpId move = mesh.Migrate(2, key, 3);
  mesh.Deliver();
  EXPECT_EQ(mesh.Result(move), "ok");
  EXPECT_EQ(mesh.Result(mesh.Begin(3, OpKind::kGet, key)), "x");
  EXPECT_TRUE(mesh.DeliverAll().empty());
}

TEST(Migrations, A_move_waits_for_a_hold_and_tells_what_became_of_it) {
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

TEST(Migrations, Moves_of_one_object_to_one_node_all_end) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kVolatile);
  const OpId hold = mesh.Grab(2, key);
  std::vector<OpId> moves;
  for (const NodeId node : {1, 3, 4}) moves.push_back(mesh.Migrate(node, key, 3));
  mesh.Deliver();
  mesh.Release(2, hold);
  for (const OpId move : moves) EXPECT_EQ(mesh.Result(move), "ok");
  EXPECT_EQ(mesh.Set(3, key, "y"), "y");
}

TEST(Migrations, A_move_to_a_node_that_is_no_member_or_fails_ends) {
  Mesh mesh(4);
  const ObjectKey key = Written(mesh, 2, kReplicas2);
  EXPECT_EQ(mesh.Result(mesh.Migrate(2, key, 9)), "unavailable");
  const OpId move = mesh.Migrate(2, key, 4);
  mesh.Crash({4});
  EXPECT_EQ(mesh.Result(move), "unavailable");
  EXPECT_EQ(mesh.Get(3, key), "x");
}

}  // namespace
}  // namespace clustix::kddm
