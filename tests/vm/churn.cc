// SPDX-License-Identifier: Apache-2.0
//
// Processes that die with commands of /dev/kccm under way, a read among them, each in its own way:
// killed, while it waits in another read, by execve(), or by exit.
//
//   kccm-churn NAMESPACE NODE SILENT PROCESSES
//
// NODE is a peer that answers at port 7, SILENT one that does not exist. Ends when all are dead.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "tests/vm/device.h"

namespace clustix::vm {
namespace {

constexpr unsigned kEchoPort = 7;
constexpr unsigned kFirstPort = 60;
// Before Linux 6.7 a process that ends waits for it.
constexpr unsigned kTimeoutMs = 100;
constexpr int kCommands = 8;

enum Way { kKilled, kExecve, kExit, kWays };

// Says with a byte that its commands are under way, and then dies or waits for it.
[[noreturn]] void Live(const std::string& name_space, unsigned node, unsigned silent, int number,
                       int ready) {
  Device device(name_space);
  device.Bind(kFirstPort + static_cast<unsigned>(number));
  std::vector<Call> calls;
  for (int i = 0; i < kCommands; ++i) {
    calls.emplace_back(i % 2 ? node : silent, kEchoPort, "x", kTimeoutMs);
  }
  kccm_uring_send confirmed = calls[0].arguments.request;
  confirmed.flags = KCCM_URING_CONFIRM;
  for (const Call& call : calls) {
    device.Start(KCCM_URING_CALL, &call.arguments, sizeof(call.arguments));
    device.Start(KCCM_URING_SEND, &confirmed, sizeof(confirmed));
  }
  static char pending[4096], message[4096];
  device.StartRead(pending, sizeof(pending));
  if (write(ready, "r", 1) != 1) _exit(1);
  if (number % kWays == kExecve) execl("/bin/true", "true", nullptr);
  if (number % kWays == kExit) _exit(0);
  for (;;) {
    if (read(device.fd(), message, sizeof(message)) < 0) pause();
  }
}

}  // namespace
}  // namespace clustix::vm

int main(int argc, char** argv) {
  using namespace clustix::vm;
  if (argc != 5) {
    std::cerr << "usage: kccm-churn NAMESPACE NODE SILENT PROCESSES\n";
    return 2;
  }
  int ready[2];
  if (pipe(ready) != 0) return 1;
  std::vector<pid_t> children;
  for (int number = 0; number < std::atoi(argv[4]); ++number) {
    const pid_t child = fork();
    if (child == 0) {
      Live(argv[1], static_cast<unsigned>(std::atoi(argv[2])),
           static_cast<unsigned>(std::atoi(argv[3])), number, ready[1]);
    }
    children.push_back(child);
  }
  char byte;
  for (size_t i = 0; i < children.size(); ++i) {
    if (read(ready[0], &byte, 1) != 1) return 1;
  }
  for (size_t i = kKilled; i < children.size(); i += kWays) kill(children[i], SIGKILL);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  return 0;
}
