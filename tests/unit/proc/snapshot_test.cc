// SPDX-License-Identifier: Apache-2.0
#include "lib/proc/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace clustix::proc {
namespace {

using testing::ElementsAre;

constexpr uint32_t kUser = 1000, kGroup = 100, kStaff = 4;

ProcessRecord Process(int32_t pid, bool hidden, bool seen_by_owner) {
  ProcessRecord process;
  process.pid = pid;
  process.uid = kUser;
  process.gid = kGroup;
  process.hidden = hidden;
  process.seen_by_owner = seen_by_owner;
  process.seen_by_gid = kStaff;
  return process;
}

std::shared_ptr<const ClusterSnapshot> Cluster(bool hides) {
  auto open = std::make_shared<NodeSnapshot>();
  open->processes = {Process(1, false, false)};
  auto closed = std::make_shared<NodeSnapshot>();
  closed->processes = {Process(1, hides, false), Process(2, hides, true)};
  auto cluster = std::make_shared<ClusterSnapshot>();
  cluster->nodes.resize(3);  // the last has never been heard
  cluster->nodes[0].snapshot = open;
  cluster->nodes[1].snapshot = closed;
  cluster->hides = HidesSome(*closed);
  return cluster;
}

std::vector<int32_t> Pids(const NodeView& node) {
  std::vector<int32_t> pids;
  for (const ProcessRecord& process : node.snapshot->processes) pids.push_back(process.pid);
  return pids;
}

TEST(SeenBy, Leaves_out_what_is_hidden) {
  const auto cluster = Cluster(true);
  const auto stranger = SeenBy(cluster, kUser + 1, kGroup);
  EXPECT_THAT(Pids(stranger->nodes[0]), ElementsAre(1));
  EXPECT_THAT(Pids(stranger->nodes[1]), ElementsAre());
  EXPECT_EQ(stranger->nodes[2].snapshot, nullptr);
  EXPECT_EQ(stranger->nodes[0].snapshot, cluster->nodes[0].snapshot) << "nothing to leave out";
  EXPECT_THAT(Pids(SeenBy(cluster, kUser, kGroup)->nodes[1]), ElementsAre(2));
  EXPECT_THAT(Pids(SeenBy(cluster, kUser, kGroup + 1)->nodes[1]), ElementsAre());
  EXPECT_THAT(Pids(SeenBy(cluster, kUser + 1, kStaff)->nodes[1]), ElementsAre(1, 2));
}

TEST(SeenBy, Is_the_same_for_root_and_where_nothing_is_hidden) {
  const auto hiding = Cluster(true), open = Cluster(false);
  EXPECT_EQ(SeenBy(hiding, 0, 0), hiding);
  EXPECT_EQ(SeenBy(open, kUser + 1, kGroup), open);
}

}  // namespace
}  // namespace clustix::proc
