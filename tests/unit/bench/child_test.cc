// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <chrono>

namespace clustix::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

Deadline Soon() { return cluster::After(seconds(30)); }

std::unique_ptr<Child> Shell(const std::string& script, const ChildOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<Child>> child = Child::Start({"/bin/sh", "-c", script}, options);
  EXPECT_TRUE(child.ok()) << child.status();
  return child.ok() ? *std::move(child) : nullptr;
}

TEST(Child, Reads_lines_and_ends_when_its_stdin_does) {
  std::unique_ptr<Child> child = Shell("echo one; echo two; read line; exit 0");
  EXPECT_EQ(*child->ReadLine(Soon()), "one");
  EXPECT_EQ(*child->ReadLine(Soon()), "two");
  EXPECT_TRUE(child->Finish(Soon()).ok());
}

TEST(Child, Tells_what_a_failed_program_said) {
  std::unique_ptr<Child> child = Shell("echo no such luck >&2; exit 1");
  const absl::Status status = child->ReadLine(Soon()).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such luck"));
}

TEST(Child, Tells_the_exit_code_or_signal_of_a_silent_one) {
  EXPECT_THAT(std::string(Shell("exit 3")->Finish(Soon()).message()), HasSubstr("status 3"));
  EXPECT_THAT(std::string(Shell("kill -SEGV $$")->Finish(Soon()).message()),
              HasSubstr("signal 11"));
}

TEST(Child, Says_when_a_program_ended_well_without_a_line) {
  EXPECT_THAT(std::string(Shell("exit 0")->ReadLine(Soon()).status().message()),
              HasSubstr("without an answer"));
}

TEST(Child, Is_given_up_at_the_deadline_and_killed) {
  std::unique_ptr<Child> child = Shell("trap '' TERM; while :; do :; done");
  const pid_t pid = child->pid();
  EXPECT_TRUE(absl::IsDeadlineExceeded(child->ReadLine(cluster::After(milliseconds(1))).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(child->Finish(cluster::After(milliseconds(1)))));
  child.reset();
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST(Child, Stops_waiting_when_interrupted) {
  base::UniqueFd interrupt(eventfd(1, EFD_CLOEXEC));
  std::unique_ptr<Child> child = Shell("while :; do :; done", {.interrupt_fd = interrupt.get()});
  EXPECT_TRUE(absl::IsCancelled(child->ReadLine(Soon()).status()));
}

TEST(Child, That_cannot_be_started_says_why) {
  absl::StatusOr<std::unique_ptr<Child>> child = Child::Start({"/no/such/program"}, {});
  ASSERT_TRUE(child.ok());
  EXPECT_THAT(std::string((*child)->ReadLine(Soon()).status().message()),
              HasSubstr("No such file"));
}

TEST(Child, Is_read_to_its_end_however_much_it_writes) {
  std::unique_ptr<Child> child = Shell("head -c 300000 /dev/zero | tr '\\0' x; echo; echo last");
  EXPECT_EQ(child->ReadLine(Soon())->size(), 300000u);
  EXPECT_EQ(*child->ReadLine(Soon()), "last");
  EXPECT_TRUE(child->Finish(Soon()).ok());
}

}  // namespace
}  // namespace clustix::bench
