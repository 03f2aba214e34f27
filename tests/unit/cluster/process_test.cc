// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace clustix::cluster {
namespace {

// A child that does nothing until it is killed.
struct IdleChild {
  IdleChild() : pid(fork()) {
    if (pid == 0) {
      for (;;) pause();
    }
  }
  ~IdleChild() {
    if (pid > 0) kill(pid, SIGKILL);
    Reap();
  }
  void Reap() {
    if (pid > 0) waitpid(pid, nullptr, 0);
    pid = -1;
  }
  pid_t pid;
};

TEST(Process, Is_known_by_pid_and_start_time) {
  IdleChild child;
  std::optional<ProcessId> id = IdentifyProcess(child.pid);
  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(IdentifyProcess(child.pid), id);
  EXPECT_TRUE(OpenProcess(*id).ok());
  ProcessId other = *id;
  ++other.start_ticks;  // what a reused pid would look like
  EXPECT_EQ(OpenProcess(other).status().code(), absl::StatusCode::kNotFound);
}

TEST(Process, Is_gone_once_it_is_a_zombie) {
  IdleChild child;
  ProcessId id = *IdentifyProcess(child.pid);
  absl::StatusOr<base::UniqueFd> pidfd = OpenProcess(id);
  ASSERT_TRUE(pidfd.ok());
  EXPECT_FALSE(AwaitExit({&*pidfd, 1}, After(std::chrono::milliseconds(0))));
  EXPECT_TRUE(SendSignal(*pidfd, SIGKILL).ok());
  EXPECT_TRUE(AwaitExit({&*pidfd, 1}, After(std::chrono::seconds(30))));
  EXPECT_FALSE(IdentifyProcess(child.pid).has_value());
  EXPECT_FALSE(OpenProcess(id).ok());
  child.Reap();
  EXPECT_EQ(SendSignal(*pidfd, SIGKILL).code(), absl::StatusCode::kNotFound);
}

TEST(Process, Reports_its_own_command_line_user_and_namespaces) {
  EXPECT_FALSE(CommandLine(getpid()).empty());
  EXPECT_EQ(RealUid(getpid()), getuid());
  ASSERT_FALSE(NamespacePids(getpid()).empty());
  EXPECT_EQ(NamespacePids(getpid()).front(), getpid());
}

TEST(RunTool, Feeds_and_collects_more_than_a_pipe_holds) {
  const std::string input(1 << 20, 'x');
  absl::StatusOr<ToolResult> result = RunTool({"sh", "-c", "cat; echo done >&2; exit 3"}, input);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->output, input);
  EXPECT_EQ(result->errors, "done\n");
  EXPECT_EQ(DescribeExit(result->status), "exited with status 3");
}

TEST(RunTool, Survives_a_program_that_does_not_read_its_input) {
  absl::StatusOr<ToolResult> result = RunTool({"true"}, std::string(1 << 20, 'x'));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->status, 0);
}

TEST(RunTool, Says_which_program_is_missing) {
  absl::StatusOr<ToolResult> result = RunTool({"no-such-program-here"}, "");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(ExitCode(result->status), 127);
  EXPECT_NE(result->errors.find("no-such-program-here"), std::string::npos);
}

TEST(ExitCode, Is_what_a_shell_would_give) {
  EXPECT_EQ(ExitCode(RunTool({"sh", "-c", "exit 7"}, "")->status), 7);
  EXPECT_EQ(ExitCode(RunTool({"sh", "-c", "kill -TERM $$"}, "")->status), 128 + SIGTERM);
}

}  // namespace
}  // namespace clustix::cluster
