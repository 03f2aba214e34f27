// SPDX-License-Identifier: Apache-2.0
#include "daemon/reply_cache.h"

#include <gtest/gtest.h>

#include "proto/admin.capnp.h"
#include "proto/proc.capnp.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::daemon {
namespace {

using Question = ReplyCache::Question;

constexpr size_t kPlenty = size_t{1} << 30;

std::shared_ptr<const proc::ClusterSnapshot> Moment(int processes, size_t text_bytes = 10) {
  auto cluster = std::make_shared<proc::ClusterSnapshot>();
  cluster->self = 1;
  proc::NodeView node;
  node.node = 1;
  node.snapshot =
      std::make_shared<const proc::NodeSnapshot>(SampleSnapshot(1, processes, text_bytes));
  cluster->nodes.push_back(node);
  return cluster;
}

TEST(ReplyCache, Encodes_a_moment_once_for_all_who_hold_it) {
  ReplyCache cache;
  auto moment = Moment(10);
  auto first = cache.Get(Question::kCluster, moment, kPlenty);
  auto second = cache.Get(Question::kCluster, moment, kPlenty);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(cache.bytes_alive(), (*first)->size());
  // Another question and another moment are other bytes, even where they read the same.
  auto nodes = cache.Get(Question::kNodes, moment, kPlenty);
  auto later = cache.Get(Question::kCluster, Moment(10), kPlenty);
  ASSERT_TRUE(nodes.ok() && later.ok());
  EXPECT_NE(*later, *first);
  EXPECT_EQ(cache.bytes_alive(), 2 * (*first)->size() + (*nodes)->size());
}

TEST(ReplyCache, Keeps_nothing_that_nobody_holds) {
  ReplyCache cache;
  std::weak_ptr<const proc::ClusterSnapshot> kept;
  {
    auto moment = Moment(10);
    kept = moment;
    ASSERT_TRUE(cache.Get(Question::kCluster, moment, kPlenty).ok());
  }
  EXPECT_EQ(cache.bytes_alive(), 0u);
  EXPECT_TRUE(kept.expired());
}

TEST(ReplyCache, Turns_away_what_would_be_too_much_in_sum) {
  ReplyCache cache;
  auto moment = Moment(100);
  auto held = cache.Get(Question::kCluster, moment, kPlenty);
  ASSERT_TRUE(held.ok());
  const size_t room = 2 * (*held)->size() - 1;
  EXPECT_TRUE(absl::IsResourceExhausted(cache.Get(Question::kCluster, Moment(100), room).status()));
  EXPECT_TRUE(cache.Get(Question::kCluster, moment, room).ok());  // costs nothing
  EXPECT_EQ(cache.bytes_alive(), (*held)->size());
  held = ReplyBytes();
  EXPECT_TRUE(cache.Get(Question::kCluster, Moment(100), room).ok());
}

TEST(ReplyCache, Has_room_for_nodes_that_are_as_large_as_a_node_may_be) {
  ReplyCache cache;
  EXPECT_TRUE(
      cache.Get(Question::kCluster, Moment(1, 2 * size_t{proto::SNAPSHOT_BYTES_MAX}), kPlenty)
          .ok());
}

TEST(ReplyCache, Refuses_what_is_larger_than_a_reply) {
  ReplyCache cache;
  EXPECT_TRUE(absl::IsResourceExhausted(
      cache.Get(Question::kCluster, Moment(1, proto::ADMIN_REPLY_BYTES_MAX), kPlenty).status()));
  EXPECT_EQ(cache.bytes_alive(), 0u);
}

TEST(ReplyCache, May_end_before_its_replies) {
  auto cache = std::make_unique<ReplyCache>();
  auto held = cache->Get(Question::kCluster, Moment(10), kPlenty);
  cache.reset();
  ASSERT_TRUE(held.ok());
  EXPECT_FALSE((*held)->empty());
}

}  // namespace
}  // namespace clustix::daemon
