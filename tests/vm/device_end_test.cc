// SPDX-License-Identifier: Apache-2.0
// /dev/kccm: commands that are cancelled, and processes that end.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/vm/device_fixture.h"

namespace clustix::vm {
namespace {

class DeviceEnd : public DeviceTest {};

TEST_F(DeviceEnd, Cancels_the_commands_of_who_closes_and_nobody_elses) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  const Call call(2, kPort, "x", kLongMs);
  const uint64_t number = StartCall(one_, call);
  const Message message = two_.Next();
  const pid_t child = fork();
  if (child == 0) {
    close(one_.fd());
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_EQ(two_.Reply(message.request, "still wanted"), 0);
  EXPECT_EQ(one_.Result(number), 12);
  const uint64_t cancelled = StartCall(one_, call);
  two_.Next();
  one_.CloseFd();
  EXPECT_EQ(one_.Result(cancelled), -ECANCELED);
}

TEST_F(DeviceEnd, Cancels_commands_at_the_moment_of_their_submission) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::atomic<bool> over = false;
  std::thread closer([&] {
    while (!over) close(dup(one_.fd()));
  });
  const Call call(2, kPort, "x", kLongMs);
  kccm_uring_send confirmed = call.arguments.request;
  confirmed.flags = KCCM_URING_CONFIRM;
  for (int round = 0; round < 250; ++round) {
    std::vector<uint64_t> numbers;
    for (int i = 0; i < 4; ++i) {
      numbers.push_back(one_.Start(KCCM_URING_CALL, &call.arguments, sizeof(call.arguments), false,
                                   /*async=*/true));
      numbers.push_back(
          one_.Start(KCCM_URING_SEND, &confirmed, sizeof(confirmed), false, /*async=*/true));
    }
    for (const uint64_t number : numbers) {
      const int result = one_.Result(number);
      ASSERT_TRUE(result == 0 || result == -ECANCELED || result == -EAGAIN) << result;
    }
  }
  over = true;
  closer.join();
}

// In a child process: a call that nobody answers, and then `end`.
int WaitStatusOf(Device& server, unsigned timeout_ms, void (*end)()) {
  const pid_t child = fork();
  if (child == 0) {
    Device device("n1");
    const Call call(2, kPort, "x", timeout_ms);
    StartCall(device, call);
    end();
    _exit(1);
  }
  server.Next();
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST_F(DeviceEnd, Lets_processes_end_while_they_call) {
  ASSERT_EQ(two_.Bind(kPort), 0);
  // Where io_uring cannot cancel a command, a process waits for its time limit.
  const bool cancels = one_.Do(KCCM_URING_FEATURES) & KCCM_URING_F_CANCEL;
  const unsigned limit_ms = cancels ? KCCM_URING_TIMEOUT_MAX_MS : kShortMs;
  EXPECT_EQ(WTERMSIG(WaitStatusOf(two_, limit_ms, [] { raise(SIGKILL); })), SIGKILL);
  EXPECT_EQ(WaitStatusOf(two_, limit_ms, [] { execl("/bin/true", "true", nullptr); }), 0);
  EXPECT_EQ(WaitStatusOf(two_, limit_ms, [] { _exit(0); }), 0);
}

// Whether the process ends up in a wait that only its death ends.
bool Sleeps(pid_t process) {
  std::string state;
  do {
    std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
    stat >> state >> state >> state;
  } while (state == "R" || state == "S");
  return state == "D";
}

TEST_F(DeviceEnd, Lets_a_process_end_while_another_ones_messages_are_read) {
  const LatePage late;
  std::thread slow([&] {
    std::vector<kccm_uring_message> messages = {MessageTo(2, 0, 0, 10)};
    kccm_uring_send_many many = {};
    EXPECT_EQ(one_.SendMany(many, messages, {static_cast<const char*>(late.get()), late.kBytes}),
              1);
  });
  EXPECT_TRUE(late.IsAwaited());
  const pid_t child = fork();
  if (child == 0) {
    Device same(one_.fd());
    std::vector<kccm_uring_message> messages = {MessageTo(2, 0, 0, 1)};
    kccm_uring_send_many many = {};
    same.SendMany(many, messages, "x");
    _exit(1);
  }
  EXPECT_TRUE(Sleeps(child));
  kill(child, SIGKILL);
  const int process = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  pollfd end = {process, POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, kLongMs), 1) << "it does not end";
  late.Come();
  slow.join();
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  close(process);
}

}  // namespace
}  // namespace clustix::vm
