// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/process_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"

namespace clustix::procview {
namespace {

constexpr uid_t kStranger = 4711;

// A child that lives until it is signalled.
class SendSignalTest : public testing::Test {
 protected:
  SendSignalTest() : reader_(*ProcReader::Open("/proc")) {
    child_ = fork();
    if (child_ == 0) {
      for (;;) pause();
    }
    const auto status =
        ParseProcessStatus(reader_->ReadProcessFile(child_, 0, "status", {0, 0}).text);
    if (status.ok()) owner_ = status->uid.real;
  }
  ~SendSignalTest() override {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  // The signal that the child ended by.
  int AwaitEnd() {
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  uint64_t StartTicks() {
    return ParseProcessStat(reader_->ReadProcessFile(child_, 0, "stat", {0, 0}).text)
        ->starttime_ticks;
  }
  int Send(int signal, uid_t uid, uint64_t start_ticks = 0) {
    return SendSignal(*reader_,
                      {.pid = child_, .signal = signal, .start_ticks = start_ticks, .uid = uid});
  }

  std::unique_ptr<ProcReader> reader_;
  pid_t child_ = -1;
  uid_t owner_ = kStranger;
};

TEST_F(SendSignalTest, Delivers_for_the_owner_and_for_root) {
  EXPECT_EQ(Send(0, owner_), 0);
  EXPECT_EQ(Send(0, 0), 0);
  EXPECT_EQ(Send(SIGUSR1, owner_, StartTicks()), 0);
  EXPECT_EQ(AwaitEnd(), SIGUSR1);
}

TEST_F(SendSignalTest, Denies_others) {
  EXPECT_EQ(Send(SIGKILL, kStranger), EPERM);
  EXPECT_EQ(Send(0, kStranger), EPERM);
  EXPECT_EQ(Send(SIGTERM, owner_), 0);
  EXPECT_EQ(AwaitEnd(), SIGTERM);
}

TEST_F(SendSignalTest, Spares_a_process_that_has_the_pid_of_the_one_that_is_meant) {
  EXPECT_EQ(Send(SIGKILL, owner_, StartTicks() + 1), ESRCH);
  EXPECT_EQ(Send(SIGTERM, owner_, StartTicks()), 0);
  EXPECT_EQ(AwaitEnd(), SIGTERM);
}

TEST_F(SendSignalTest, Finds_nobody_where_nobody_is) {
  const pid_t gone = child_;
  EXPECT_EQ(Send(SIGKILL, owner_), 0);
  AwaitEnd();
  for (pid_t pid : {gone, pid_t{0}, pid_t{-1}, pid_t{(1 << 22) - 1}}) {
    EXPECT_EQ(SendSignal(*reader_, {.pid = pid, .signal = 0, .start_ticks = 0, .uid = 0}), ESRCH)
        << pid;
  }
}

TEST_F(SendSignalTest, Knows_what_is_no_signal) {
  for (int signal : {-1, SIGRTMAX + 1, 1 << 30}) EXPECT_EQ(Send(signal, owner_), EINVAL) << signal;
  EXPECT_EQ(Send(0, owner_), 0) << "it lives";
}

TEST_F(SendSignalTest, Goes_by_the_real_and_the_saved_uid) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to have processes with several uids";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t program = fork();
  if (program == 0) {  // as a program with the set-user-id bit of kStranger + 1, run by kStranger
    if (setresuid(kStranger, kStranger + 1, kStranger + 2) != 0 || write(ready[1], "x", 1) != 1) {
      _exit(1);
    }
    for (;;) pause();
  }
  char byte;
  close(ready[1]);
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  auto send = [&](uid_t uid) {
    return SendSignal(*reader_, {.pid = program, .signal = 0, .start_ticks = 0, .uid = uid});
  };
  EXPECT_EQ(send(kStranger), 0);
  EXPECT_EQ(send(kStranger + 1), EPERM) << "the effective uid does not count";
  EXPECT_EQ(send(kStranger + 2), 0);
  kill(program, SIGKILL);
  waitpid(program, nullptr, 0);
}

}  // namespace
}  // namespace clustix::procview
