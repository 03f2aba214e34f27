// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/interrupts.h"

#include <sys/eventfd.h>

#include <csignal>

namespace clustix::command {
namespace {

int interrupt_fd = -1;

void OnInterrupt(int) { eventfd_write(interrupt_fd, 1); }

}  // namespace

int CatchInterrupts() {
  interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return interrupt_fd;
}

}  // namespace clustix::command
