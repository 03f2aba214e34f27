// SPDX-License-Identifier: Apache-2.0
//
// What is left of an object when nodes fail one after the other, told as short stories.
#include <string>

#include "gtest/gtest.h"
#include "lib/kddm/engine.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

// The home is node 1, the backup node 2; node 3 has nothing, and asks to write. Then the backup
// fails, and the home when all have heard that everything is settled; but node 3 has not got the
// grant, which travels on another lane, and is lost. Returns what the grab ended with.
struct Story {
  bool granted_before = false;  // the backup fails
  bool comes_back = false;      // the backup, at once
  size_t room_bytes = SIZE_MAX;
};

std::string GrabOf(const Story& story) {
  Mesh mesh(3, {{3, story.room_bytes}});
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  EXPECT_EQ(mesh.Set(2, key, "x"), "x");
  EXPECT_FALSE(mesh.Holds(3, key));
  const OpId grab = mesh.Begin(3, OpKind::kGrab, key);
  if (story.granted_before) {
    mesh.DeliverAllBut(Kind::kReply);
  } else {
    EXPECT_TRUE(mesh.DeliverFirst(Kind::kWrite));  // the backup is told to put its copy aside
  }
  mesh.Change({2}, {});
  if (story.comes_back) mesh.Change({}, {2});
  mesh.DeliverAllBut(Kind::kReply);
  EXPECT_EQ(mesh.Result(grab), "");
  EXPECT_TRUE(mesh.engine(3).home().all_settled());
  mesh.Crash({1});
  return mesh.Result(grab);
}

TEST(Failure, An_owner_that_has_not_got_its_grant_is_given_a_copy_that_counts) {
  for (const bool granted_before : {false, true}) {
    for (const bool comes_back : {false, true}) {
      const Story story{.granted_before = granted_before, .comes_back = comes_back};
      EXPECT_EQ(GrabOf(story), "x") << "granted before the failure: " << granted_before
                                    << ", the backup came back: " << comes_back;
    }
  }
}

TEST(Failure, An_object_whose_grant_was_lost_is_lost_if_its_owner_had_no_room_for_a_copy) {
  EXPECT_EQ(GrabOf({.granted_before = false, .comes_back = false, .room_bytes = 0}), "lost");
  EXPECT_EQ(GrabOf({.granted_before = true, .comes_back = false, .room_bytes = 0}), "lost");
}

// The owner backed the object up, but only in case a grant to a node that then failed was lost.
TEST(Failure, An_owner_that_stood_back_for_a_dead_node_is_given_a_copy_that_counts) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  mesh.Set(2, key, "x");
  mesh.Release(3, mesh.Grab(3, key));
  const OpId grab = mesh.Begin(2, OpKind::kGrab, key);
  mesh.DeliverAllBut(Kind::kReply);
  mesh.Change({3}, {});
  mesh.DeliverAllBut(Kind::kReply);
  EXPECT_EQ(mesh.Result(grab), "");
  EXPECT_TRUE(mesh.engine(2).home().all_settled());
  mesh.Crash({1});
  EXPECT_EQ(mesh.Result(grab), "x");
}

// The home has committed the new value and shown it; then it fails, and so does the writer before
// the next home has its put.
TEST(Failure, A_value_whose_successor_may_have_been_seen_is_not_shown_again) {
  size_t stories = 0;
  for (const NodeId writer : {2, 3, 4}) {
    Mesh mesh(4);
    const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
    ASSERT_EQ(mesh.Set(writer, key, "old"), "old");
    const OpId put = mesh.Begin(writer, OpKind::kSet, key, "new");
    mesh.DeliverAllBut(Kind::kReply);
    mesh.DeliverFirst(Kind::kReply);  // the grant
    mesh.DeliverAllBut(Kind::kReply);
    ASSERT_EQ(mesh.Result(mesh.Begin(1, OpKind::kGet, key)), "new");
    mesh.Change({1}, {});
    mesh.DeliverAllBut(Kind::kPut);
    const NodeId home = mesh.engine(writer).homes().HomeOf(key);
    if (home == writer) continue;  // which has its put at once
    ++stories;
    EXPECT_EQ(mesh.Result(put), "");
    mesh.Crash({writer});
    EXPECT_EQ(mesh.Get(home, key), "lost");
  }
  EXPECT_GT(stories, 0u);
}

}  // namespace
}  // namespace clustix::kddm
