// SPDX-License-Identifier: Apache-2.0
//
// The jobs of a user, written on one node and read on another.
#include "daemon/remote/job_log.h"

#include <unistd.h>

#include "clustix/sets.h"
#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

using remote::Job;
using remote::JobLog;

constexpr Wait kPatience = {.timeout_ms = 30'000};
constexpr uint64_t kAll = remote::kJobsKept;

class JobLogs : public LoopbackCluster {
 protected:
  Client Connect(NodeId node) {
    Result<Client> client = Client::Connect({.socket = this->node(node).socket_path()});
    EXPECT_TRUE(client);
    return *std::move(client);
  }
  JobLog Open(NodeId node) {
    Client client = Connect(node);
    Result<JobLog> log = JobLog::Open(client, geteuid(), JobLog::Use::kMake);
    EXPECT_TRUE(log) << log.error().message;
    return *std::move(log);
  }
  static Job Add(const JobLog& log, NodeId node, const std::string& word) {
    Job job{.node = node, .caller = 1, .pid = 7, .argv = {"run", word}};
    EXPECT_EQ(log.Add(&job, kPatience), SetOutcome::kOk);
    return job;
  }
};

TEST_F(JobLogs, Are_read_on_every_node) {
  StartNodes(3);
  const JobLog there = Open(2), here = Open(1);
  const std::vector<NodeId> nodes = {1, 2, 3};
  EXPECT_TRUE(here.Read(nodes, kAll, kPatience).jobs.empty());
  EXPECT_EQ(Add(there, 2, "first").Name(), "2.1");
  Job second = Add(there, 2, "second");
  Add(Open(3), 3, "other");
  second.ended_ms = 42;
  second.code = 3;
  ASSERT_EQ(there.Update(second, kPatience), SetOutcome::kOk);

  const JobLog::Found found = here.Read(nodes, kAll, kPatience);
  EXPECT_TRUE(found.missing.empty());
  ASSERT_EQ(found.jobs.size(), 3u);
  EXPECT_EQ(found.jobs[0].Name(), "2.2");
  EXPECT_EQ(found.jobs[0].argv[1], "second");
  EXPECT_EQ(found.jobs[0].code, 3);
  EXPECT_EQ(found.jobs[0].ended_ms, 42);
  EXPECT_EQ(found.jobs[1].Name(), "2.1");
  EXPECT_EQ(found.jobs[1].ended_ms, 0);
  EXPECT_EQ(found.jobs[2].Name(), "3.1");
  EXPECT_EQ(here.Read(nodes, 1, kPatience).jobs.size(), 2u);
}

TEST_F(JobLogs, Forget_the_oldest) {
  StartNodes(2);
  const JobLog log = Open(1);
  const Job first = Add(log, 1, "first");
  for (uint64_t i = 0; i < remote::kJobsKept; ++i) Add(log, 1, "later");
  const std::vector<NodeId> nodes = {1, 2};
  const JobLog::Found found = Open(2).Read(nodes, UINT64_MAX, kPatience);
  ASSERT_EQ(found.jobs.size(), remote::kJobsKept);
  EXPECT_EQ(found.jobs.front().serial, remote::kJobsKept + 1);
  EXPECT_EQ(found.jobs.back().serial, 2u);
  // Its place is another's.
  EXPECT_EQ(log.Update(first, kPatience), SetOutcome::kNotFound);
  EXPECT_EQ(Open(2).Read(nodes, 1, kPatience).jobs[0].argv[1], "later");
}

TEST_F(JobLogs, Tell_who_watches_of_each_change) {
  StartNodes(2);
  const JobLog here = Open(1), there = Open(2);
  Result<Watcher> watcher = here.jobs().Watch(0, UINT64_MAX, kPatience);
  ASSERT_TRUE(watcher);
  Job job = Add(there, 2, "watched");
  const auto next_job = [&]() -> std::optional<Job> {
    for (;;) {
      WatchEvent event;
      if (watcher->Next(&event, kPatience) != SetOutcome::kOk) return std::nullopt;
      if (std::optional<Job> seen = here.At(event.object, kPatience)) return seen;
    }
  };
  EXPECT_EQ(next_job()->argv[1], "watched");
  job.ended_ms = 1;
  job.signal = 9;
  ASSERT_EQ(there.Update(job, kPatience), SetOutcome::kOk);
  EXPECT_EQ(next_job()->signal, 9);
}

TEST_F(JobLogs, Are_not_confused_by_what_is_no_job) {
  StartNodes(1);
  Client client = Connect(1);
  EXPECT_EQ(JobLog::Open(client, geteuid(), JobLog::Use::kRead).error().code, ErrorCode::kNotFound);
  const JobLog log = Open(1);
  Add(log, 1, "good");
  Add(log, 1, "bad");
  const ObjectId place = (ObjectId{1} << 48) + 1 + 2;
  ASSERT_EQ(log.jobs().Set(place, std::as_bytes(std::span("nonsense", 8)), kPatience),
            SetOutcome::kOk);
  const std::vector<NodeId> nodes = {1};
  const JobLog::Found found = log.Read(nodes, kAll, kPatience);
  ASSERT_EQ(found.jobs.size(), 1u);
  EXPECT_EQ(found.jobs[0].argv[1], "good");
  EXPECT_TRUE(found.missing.empty());
  // A job that says to be another's.
  ASSERT_EQ(log.jobs().Set(place, EncodeJob(found.jobs[0]), kPatience), SetOutcome::kOk);
  EXPECT_EQ(log.Read(nodes, kAll, kPatience).jobs.size(), 1u);
}

TEST_F(JobLogs, Are_not_taken_from_another_users_set) {
  StartNodes(1);
  Client client = Connect(1);
  // As of a user who is not there, made by this one: of the right name, but of another owner.
  const uid_t other = geteuid() + 1;
  ASSERT_TRUE(client.OpenSet(remote::JobSetName(other),
                             {.create = true, .policy = {.placement = Placement::kIdBits}}));
  Result<JobLog> log = JobLog::Open(client, other, JobLog::Use::kMake);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, ErrorCode::kPermissionDenied);
}

}  // namespace
}  // namespace clustix
