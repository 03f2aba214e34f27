// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/rebuild.h"

#include <vector>

#include "gtest/gtest.h"

namespace clustix::kddm {
namespace {

constexpr SetId kReplicated = MakeSetId(Durability::kReplicas2, Placement::kHash, 0, 1);
constexpr SetId kLinkedSet = MakeSetId(Durability::kLinked, Placement::kHash, 0, 1);

NodeReport Says(NodeId node, Role role, Version version, SetId set = kReplicated) {
  NodeReport report{.node = node, .entry = {}};
  report.entry.key.set = set;
  report.entry.role = role;
  report.entry.version = version;
  return report;
}

NodeReport Demoted(NodeId node, Version version, Stamp when, NodeId grantee, bool lives) {
  NodeReport report = Says(node, Role::kDemoted, version);
  report.entry.demoted = when;
  report.entry.grantee = grantee;
  report.entry.grantee_lives = lives;
  return report;
}

Rebuilt From(const std::vector<NodeReport>& reports) {
  return Rebuild(reports, [](NodeId) { return true; });
}

TEST(Rebuild, The_newest_value_that_somebody_vouches_for_is_current) {
  const Rebuilt rebuilt = From({Says(1, Role::kBackup, 7), Says(2, Role::kBackup, 8)});
  EXPECT_EQ(rebuilt.content, Content::kData);
  EXPECT_EQ(rebuilt.version, 8u);
  EXPECT_EQ(rebuilt.holders, std::vector<NodeId>{2});
  EXPECT_EQ(rebuilt.leftover, std::vector<NodeId>{1});
}

TEST(Rebuild, What_was_put_aside_for_a_grant_is_current_if_the_grant_did_not_arrive) {
  EXPECT_EQ(From({Demoted(1, 7, 10, 3, true)}).content, Content::kData);
  EXPECT_EQ(From({Demoted(1, 7, 10, 3, false)}).content, Content::kLost);
}

TEST(Rebuild, Of_several_demotions_the_last_one_speaks) {
  EXPECT_EQ(From({Demoted(1, 7, 10, 3, true), Demoted(2, 7, 11, 4, false)}).content,
            Content::kLost);
  EXPECT_EQ(From({Demoted(1, 7, 10, 3, false), Demoted(2, 7, 11, 4, true)}).content,
            Content::kData);
}

TEST(Rebuild, An_exclusive_copy_wins) {
  const Rebuilt rebuilt = From({Demoted(1, 7, 10, 2, true), Says(2, Role::kExclusive, 7)});
  EXPECT_EQ(rebuilt.owner, 2);
}

TEST(Rebuild, A_commit_that_somebody_has_the_value_of_has_happened) {
  const Rebuilt rebuilt = From({Says(1, Role::kPutting, 7), Says(2, Role::kShared, 8)});
  EXPECT_EQ(rebuilt.owner, kNoNode);
  EXPECT_EQ(rebuilt.version, 8u);
  EXPECT_EQ(rebuilt.writer, 1) << "it still has the bytes";
}

TEST(Rebuild, A_writer_that_has_not_been_told_vouches_for_its_value) {
  const Rebuilt rebuilt = From({Says(1, Role::kPutting, 7), Demoted(2, 8, 10, 3, false)});
  EXPECT_EQ(rebuilt.content, Content::kData);
  EXPECT_EQ(rebuilt.version, 8u);
}

TEST(Rebuild, Of_two_nodes_that_are_putting_the_later_owns_the_object) {
  EXPECT_EQ(From({Says(1, Role::kPutting, 8), Says(2, Role::kPutting, 7)}).owner, 1);
  EXPECT_EQ(From({Says(1, Role::kPutting, 7), Says(2, Role::kPutting, 8)}).owner, 2);
}

TEST(Rebuild, A_commit_may_have_happened_unless_a_backup_or_the_home_before_says_otherwise) {
  EXPECT_TRUE(From({Says(1, Role::kPutting, 7)}).unproven);
  EXPECT_FALSE(From({Says(1, Role::kPutting, 7), Says(2, Role::kBackup, 7)}).unproven);
  NodeReport granted = Says(3, Role::kGranted, 7);
  granted.entry.content = Content::kAbsent;
  granted.entry.grantee = 1;
  EXPECT_FALSE(From({Says(1, Role::kPutting, 7), granted}).unproven);
}

TEST(Rebuild, A_removal_is_never_taken_back) {
  NodeReport removing = Says(1, Role::kPutting, 7);
  removing.entry.removing = true;
  const Rebuilt rebuilt = From({removing, Says(2, Role::kBackup, 7)});
  EXPECT_TRUE(rebuilt.unproven);
  EXPECT_TRUE(rebuilt.removing);
}

TEST(Rebuild, What_existed_and_nobody_has_is_lost) {
  EXPECT_EQ(From({Says(1, Role::kExists, 7)}).content, Content::kLost);
}

TEST(Rebuild, An_unread_copy_of_a_linked_object_counts_for_nothing) {
  const Rebuilt rebuilt = From({Says(1, Role::kBackup, 7, kLinkedSet)});
  EXPECT_EQ(rebuilt.leftover, std::vector<NodeId>{1});
  EXPECT_TRUE(rebuilt.holders.empty());
}

}  // namespace
}  // namespace clustix::kddm
