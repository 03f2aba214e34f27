// SPDX-License-Identifier: Apache-2.0
#include "lib/proc/process_changes.h"

#include <gtest/gtest.h>

#include "lib/proc/snapshot_codec.h"
#include "proto/message.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::proc {
namespace {

using SnapshotPtr = std::shared_ptr<const NodeSnapshot>;

SnapshotPtr Taken(uint64_t taken_ns, int processes = 3) {
  NodeSnapshot snapshot = SampleSnapshot(2, processes);
  snapshot.taken_ns = taken_ns;
  return std::make_shared<const NodeSnapshot>(std::move(snapshot));
}

ProcessRecord Process(int32_t pid) {
  ProcessRecord process;
  process.pid = pid;
  process.comm = "new\n";
  return process;
}

ProcessChanges Birth(uint64_t taken_ns, int32_t pid) {
  return {.taken_ns = taken_ns, .changed = {Process(pid)}, .gone = {}};
}

std::vector<int32_t> Pids(const SnapshotPtr& snapshot) {
  std::vector<int32_t> pids;
  for (const ProcessRecord& process : snapshot->processes) pids.push_back(process.pid);
  return pids;
}

TEST(ChangeLog, Brings_births_changes_and_exits_into_a_snapshot) {
  ChangeLog log;
  const SnapshotPtr old = Taken(10);  // 1, 3, 5
  ASSERT_TRUE(log.Add({.taken_ns = 20, .changed = {Process(2), Process(3)}, .gone = {5, 9}}));
  ASSERT_TRUE(log.Add(Birth(30, 7)));
  const SnapshotPtr now = log.Bring(old);
  EXPECT_EQ(Pids(now), (std::vector<int32_t>{1, 2, 3, 7}));
  EXPECT_EQ(now->processes[2].comm, "new\n");
  EXPECT_EQ(Pids(old), (std::vector<int32_t>{1, 3, 5})) << "snapshots never change";
  EXPECT_EQ(log.Bring(now), now) << "nothing is applied twice";
}

TEST(ChangeLog, Applies_what_is_younger_to_a_snapshot_that_was_overtaken) {
  ChangeLog log;
  ASSERT_TRUE(log.Add(Birth(20, 20)));
  ASSERT_TRUE(log.Add(Birth(40, 40)));
  EXPECT_EQ(log.Bring(Taken(10))->processes.size(), 5u);
  const SnapshotPtr late = Taken(30);  // begun before 40 was born, arrived after the news of it
  log.Rebase(*late);
  EXPECT_EQ(Pids(log.Bring(late)), (std::vector<int32_t>{1, 3, 5, 40}));
}

TEST(ChangeLog, Leaves_a_snapshot_alone_that_is_younger_than_the_news) {
  ChangeLog log;
  const SnapshotPtr snapshot = Taken(30);
  log.Rebase(*snapshot);
  ASSERT_TRUE(log.Add({.taken_ns = 20, .changed = {}, .gone = {3}}));
  EXPECT_EQ(Pids(log.Bring(snapshot)), (std::vector<int32_t>{1, 3, 5}));
}

TEST(ChangeLog, Says_when_a_snapshot_has_to_be_fetched) {
  ChangeLog log;
  EXPECT_FALSE(log.Add({.taken_ns = 1, .changed = {}, .gone = {}, .all = true}));
  for (size_t i = 0; i < ChangeLog::kKeptMax; ++i) EXPECT_TRUE(log.Add(Birth(i, 100)));
  EXPECT_FALSE(log.Add(Birth(1000, 100))) << "nobody has looked meanwhile";
  EXPECT_FALSE(log.HasNews());
}

TEST(ChangeLog, Forgets_the_oldest_when_somebody_looks) {
  ChangeLog log;
  SnapshotPtr snapshot = Taken(0);
  for (size_t i = 0; i < 2 * ChangeLog::kKeptMax; ++i) {
    ASSERT_TRUE(log.Add(Birth(i + 1, static_cast<int32_t>(100 + i))));
    snapshot = log.Bring(snapshot);
  }
  EXPECT_EQ(snapshot->processes.size(), 3 + 2 * ChangeLog::kKeptMax);
}

absl::StatusOr<ProcessChanges> SendAndReceive(const ProcessChanges& changes) {
  absl::StatusOr<ProcessChanges> received = absl::UnknownError("nothing came");
  EXPECT_TRUE(proto::ReadMessage<proto::ProcessChanges>(EncodeChanges(changes), [&](auto message) {
                received = DecodeChanges(message);
                return absl::OkStatus();
              }).ok());
  return received;
}

TEST(ProcessChanges, Arrive_as_they_were_sent) {
  const auto received = SendAndReceive({.taken_ns = 7, .changed = {Process(2)}, .gone = {5, 9}});
  ASSERT_TRUE(received.ok());
  EXPECT_EQ(received->taken_ns, 7u);
  ASSERT_EQ(received->changed.size(), 1u);
  EXPECT_EQ(received->changed[0].comm, "new\n");
  EXPECT_EQ(received->gone, (std::vector<int32_t>{5, 9}));
  EXPECT_FALSE(received->all);
}

TEST(ProcessChanges, Say_only_that_there_are_more_when_they_are_too_many_or_too_large) {
  ProcessChanges many;
  for (int32_t pid = 1; pid <= 65; ++pid) many.gone.push_back(pid);
  ProcessChanges large;
  for (int32_t pid = 1; pid <= 40; ++pid) {
    large.changed.push_back(Process(pid));
    large.changed.back().cmdline = std::string(4096, 'x');
  }
  for (const ProcessChanges& changes : {many, large}) {
    const auto received = SendAndReceive(changes);
    ASSERT_TRUE(received.ok());
    EXPECT_TRUE(received->all);
    EXPECT_TRUE(received->changed.empty() && received->gone.empty());
  }
}

TEST(ProcessChanges, Of_pids_that_no_process_has_are_refused) {
  for (int32_t pid : {0, -1, 1 << 22}) {
    EXPECT_FALSE(SendAndReceive(Birth(1, pid)).ok()) << pid;
    EXPECT_FALSE(SendAndReceive({.taken_ns = 1, .changed = {}, .gone = {pid}}).ok()) << pid;
  }
}

}  // namespace
}  // namespace clustix::proc
