// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/job.h"

#include <gtest/gtest.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "daemon/remote/job_state.h"

namespace clustix::remote {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

TEST(Job, Is_read_as_it_was_written) {
  const Job job{.serial = 17,
                .node = 2,
                .caller = 3,
                .pid = 4711,
                .start_ticks = 12345678901,
                .started_ms = kNow,
                .ended_ms = kNow + 5,
                .code = 0,
                .signal = 15,
                .argv = {"sh", "-c", "echo \xff", ""}};
  const absl::StatusOr<Job> read = DecodeJob(EncodeJob(job));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->Name(), "2.17");
  EXPECT_EQ(read->caller, 3);
  EXPECT_EQ(read->pid, 4711);
  EXPECT_EQ(read->start_ticks, 12345678901u);
  EXPECT_EQ(read->started_ms, kNow);
  EXPECT_EQ(read->ended_ms, kNow + 5);
  EXPECT_EQ(read->signal, 15);
  EXPECT_EQ(read->argv, job.argv);
}

TEST(Job, Keeps_no_more_of_its_arguments_than_fits) {
  Job job{.argv = {"cat", std::string(3 * kJobArgvBytesMax, 'x'), "lost"}};
  Job read = *DecodeJob(EncodeJob(job));
  ASSERT_EQ(read.argv.size(), 2u);
  EXPECT_EQ(read.argv[1], std::string(kJobArgvBytesMax - 4, 'x'));
  job.argv = std::vector<std::string>(100'000, "");
  read = *DecodeJob(EncodeJob(job));
  EXPECT_EQ(read.argv.size(), kJobArgvBytesMax);
}

TEST(Job, Is_not_read_from_what_is_none) {
  EXPECT_FALSE(DecodeJob({}).ok());
  const std::string text = "no message at all, but long enough to be one";
  EXPECT_FALSE(DecodeJob(std::as_bytes(std::span(text))).ok());
}

class StatesOfJobs : public testing::Test {
 protected:
  StatesOfJobs() {
    auto snapshot = std::make_shared<proc::NodeSnapshot>();
    snapshot->node = 2;
    for (const int pid : {5, 7, 9}) {
      proc::ProcessRecord process;
      process.pid = pid;
      process.stat = absl::StrCat(
          pid, " (a b) S 1 5 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ", pid * 100,
          " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30\n");
      snapshot->processes.push_back(process);
    }
    proc::NodeView view;
    view.node = 2;
    view.snapshot = snapshot;
    cluster_.nodes.push_back(view);
  }
  JobState State(const Job& job) { return StateOf(job, cluster_, kNow); }

  proc::ClusterSnapshot cluster_;
  Job job_{.serial = 1,
           .node = 2,
           .pid = 7,
           .start_ticks = 700,
           .started_ms = kNow - kJobSeenMs - 1,
           .argv = {"x"}};
};

TEST_F(StatesOfJobs, Follow_the_process) {
  EXPECT_EQ(State(job_), JobState::kRunning);
  job_.start_ticks = 701;  // another has its pid
  EXPECT_EQ(State(job_), JobState::kGone);
  job_.pid = 8;
  EXPECT_EQ(State(job_), JobState::kGone);
  job_.started_ms = kNow - kJobSeenMs + 1;  // may be too young to be seen
  EXPECT_EQ(State(job_), JobState::kRunning);
}

TEST_F(StatesOfJobs, Are_what_was_written_of_the_end) {
  job_.ended_ms = kNow;
  EXPECT_EQ(State(job_), JobState::kExited);
  job_.signal = 9;
  EXPECT_EQ(State(job_), JobState::kKilled);
}

TEST_F(StatesOfJobs, Are_unknown_while_the_node_is_away) {
  cluster_.nodes[0].stale = true;
  EXPECT_EQ(State(job_), JobState::kUnknown);
  cluster_.nodes.clear();
  EXPECT_EQ(State(job_), JobState::kUnknown);
  job_.ended_ms = kNow;
  EXPECT_EQ(State(job_), JobState::kExited);
}

}  // namespace
}  // namespace clustix::remote
