// SPDX-License-Identifier: Apache-2.0
//
// Clients that are killed at any instruction. CLUSTIX_CACHE_KILLS says how often (default 300), a
// third of it while they are traced.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "tests/unit/cache/test_daemon.h"

namespace clustix::cache {
namespace {

int Kills() {
  const char* text = getenv("CLUSTIX_CACHE_KILLS");
  return text == nullptr ? 300 : atoi(text);
}

// Exits with 3 if what it reads is ever wrong.
[[noreturn]] void WorkForEver(TestWorker& worker) {
  while (worker.Turn(true)) {
  }
  _exit(3);
}

void Kill(pid_t pid) {
  kill(pid, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the client has ended by itself: status " << status;
}

// Whether the next instruction of a process that is traced may wait for us.
bool IsAtSystemCall(pid_t pid) {
#if defined(__x86_64__)
  user_regs_struct registers{};
  if (ptrace(PTRACE_GETREGS, pid, nullptr, &registers) != 0) return true;
  const long text = ptrace(PTRACE_PEEKTEXT, pid, registers.rip, nullptr);
  return (text & 0xffff) == 0x050f;
#else
  return true;
#endif
}

// Serves the client, which is traced, until it stops by `signal`. If it cannot ask for anything
// before, to sleep is quicker.
void ServeUntilStop(TestDaemon& daemon, const ClientProcess& client, int signal, bool may_ask) {
  int status = 0;
  pid_t changed;
  while ((changed = waitpid(client.pid, &status, may_ask ? WNOHANG : 0)) == 0) {
    ASSERT_TRUE(daemon.Serve(client.region));
    sched_yield();
  }
  ASSERT_EQ(changed, client.pid);
  ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == signal) << "status " << status;
}

// To wake the other process on the same core takes a tenth of what it takes on another.
class OnOneCore {
 public:
  OnOneCore() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OnOneCore() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

TEST(KilledClient, Leaves_nothing_behind_whichever_its_last_instruction) {
  const OnOneCore same_as_children;
  TestDaemon daemon;
  base::Prng prng(2);
  for (int kills = 0; kills < Kills() / 3 && !HasFatalFailure(); ++kills) {
    const uint64_t seed = prng.Next();
    // It runs freely for a while, so that it holds pins, and then instruction by instruction, one
    // of which may be to wait for the daemon.
    const ClientProcess client = ClientProcess::Start(
        daemon, [seed](const NodeView* node, ClientRegion* region, const SetView* view) {
          TestWorker worker(node, region, view, seed);
          ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
          for (uint64_t turns = seed % 64; turns > 0; --turns) {
            if (!worker.Turn(true)) _exit(3);
          }
          raise(SIGSTOP);
          WorkForEver(worker);
        });
    ServeUntilStop(daemon, client, SIGSTOP, true);
    for (uint64_t steps = prng.Below(1'500); steps > 0 && !HasFatalFailure(); --steps) {
      const bool may_ask = IsAtSystemCall(client.pid);
      ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, client.pid, nullptr, nullptr), 0);
      ServeUntilStop(daemon, client, SIGTRAP, may_ask);
      if (prng.Chance(1, 20)) daemon.Change(prng);
    }
    Kill(client.pid);
    daemon.Serve(client.region);  // what it had asked for by then is done
    daemon.node.host->Detach(client.region);
    daemon.ExpectIntact();
  }
}

// Several at once, at full speed, so that the daemon is anywhere too when they die.
TEST(KilledClient, Leaves_nothing_behind_at_full_speed) {
  constexpr size_t kClients = 4;
  TestDaemon daemon;
  base::Prng prng(3);
  std::vector<ClientProcess> clients;
  for (int kills = 0; kills < Kills() && !HasFatalFailure();) {
    while (clients.size() < kClients) {
      const uint64_t seed = prng.Next();
      clients.push_back(ClientProcess::Start(
          daemon, [seed](const NodeView* node, ClientRegion* region, const SetView* view) {
            TestWorker worker(node, region, view, seed);
            WorkForEver(worker);
          }));
    }
    for (uint64_t turns = prng.Below(3'000); turns > 0; --turns) {
      for (const ClientProcess& client : clients) ASSERT_TRUE(daemon.Serve(client.region));
      if (prng.Chance(1, 2)) daemon.Change(prng);
    }
    std::swap(clients[prng.Below(kClients)], clients.back());
    Kill(clients.back().pid);
    daemon.node.host->Detach(clients.back().region);
    clients.pop_back();
    ++kills;
  }
  for (const ClientProcess& client : clients) {
    Kill(client.pid);
    daemon.node.host->Detach(client.region);
  }
  daemon.ExpectIntact();
}

}  // namespace
}  // namespace clustix::cache
