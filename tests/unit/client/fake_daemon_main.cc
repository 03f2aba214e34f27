// SPDX-License-Identifier: Apache-2.0
//
// The fake daemon as a program, for tests of programs: `fake-sets-daemon PROGRAM...` runs one that
// finds it, and ends as that does. Without one it prints its socket, and ends with its stdin.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "daemon/cluster/process.h"
#include "tests/unit/client/fake_daemon.h"

int main(int, char** argv) {
  clustix::client::FakeDaemon daemon;
  const std::string socket = daemon.Socket().socket;
  if (argv[1] == nullptr) {
    std::puts(socket.c_str());
    std::fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
  }
  setenv("CLUSTIX_SOCKET", socket.c_str(), 1);
  pid_t pid;
  int status;
  if (posix_spawn(&pid, argv[1], nullptr, nullptr, argv + 1, environ) != 0 ||
      waitpid(pid, &status, 0) != pid) {
    std::perror(argv[1]);
    return 1;
  }
  return clustix::cluster::ExitCode(status);
}
