// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/objects/nursery.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <map>

#include "gtest/gtest.h"

#if defined(__x86_64__) && !defined(CLUSTIX_SANITIZED)
#define CLUSTIX_CAN_STEP 1
#include <x86intrin.h>
#else
#define CLUSTIX_CAN_STEP 0
#endif

namespace clustix {
namespace {

struct Order {
  uint64_t first, count, at_once;
};

// A child must not outlive the nursery, nor the nursery the test.
void DieWith(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
}

// Each death is told as it happens.
bool Serve(int socket, const Nursery::Life& life, const Order& order) {
  std::map<pid_t, uint64_t> living;
  for (uint64_t born = 0, dead = 0; dead < order.count;) {
    if (born < order.count && living.size() < order.at_once) {
      const uint64_t seed = order.first + born++;
      const pid_t nursery = getpid();
      const pid_t child = fork();
      if (child < 0) return false;
      if (child == 0) {
        DieWith(nursery);
        close(socket);
        _exit(life(seed));
      }
      living[child] = seed;
      continue;
    }
    Nursery::Death death;
    const pid_t child = waitpid(-1, &death.status, 0);
    const auto found = living.find(child);
    if (found == living.end()) return false;
    death.seed = found->second;
    living.erase(found);
    ++dead;
    if (send(socket, &death, sizeof death, MSG_NOSIGNAL) != sizeof death) return false;
  }
  return true;
}

}  // namespace

Nursery::Nursery(const Life& life) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return;
  socket_ = base::UniqueFd(ends[0]);
  base::UniqueFd other(ends[1]);
  const pid_t test = getpid();
  pid_ = fork();
  if (pid_ != 0) return;
  DieWith(test);
  socket_.Reset();
  Order order;
  while (recv(other.get(), &order, sizeof order, 0) == sizeof order) {
    if (!Serve(other.get(), life, order)) _exit(1);
  }
  _exit(0);
}

Nursery::~Nursery() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::vector<Nursery::Death> Nursery::Raise(uint64_t first, uint64_t count, uint64_t at_once) {
  std::vector<Death> deaths;
  const Order order = {.first = first, .count = count, .at_once = at_once};
  if (send(socket_.get(), &order, sizeof order, MSG_NOSIGNAL) == sizeof order) {
    for (Death death; deaths.size() < count; deaths.push_back(death)) {
      if (recv(socket_.get(), &death, sizeof death, 0) != sizeof death) break;
    }
  }
  EXPECT_EQ(deaths.size(), count) << "the nursery has ended";
  return deaths;
}

#if CLUSTIX_CAN_STEP
namespace {

constexpr uint64_t kTrapFlag = 0x100;
uint64_t instructions_left = 0;

// The processor traps after each instruction while the flag is set; in here it is not.
void OnInstruction(int) {
  if (instructions_left-- == 0) kill(getpid(), SIGKILL);
}

}  // namespace

bool CanStep() { return true; }

void DieAfterInstructions(uint64_t instructions) {
  instructions_left = instructions;
  struct sigaction action = {};
  action.sa_handler = OnInstruction;
  sigaction(SIGTRAP, &action, nullptr);
  __writeeflags(__readeflags() | kTrapFlag);
}
#else
bool CanStep() { return false; }
void DieAfterInstructions(uint64_t instructions) {
  DieAfter(std::chrono::nanoseconds(instructions));
}
#endif

void DieAfter(std::chrono::nanoseconds time) {
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer;
  const itimerspec when = {.it_interval = {},
                           .it_value = {.tv_sec = time.count() / 1'000'000'000,
                                        .tv_nsec = time.count() % 1'000'000'000 + 1}};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
      timer_settime(timer, 0, &when, nullptr) != 0) {
    _exit(2);
  }
}

}  // namespace clustix
