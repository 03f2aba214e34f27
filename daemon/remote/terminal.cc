// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/terminal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace clustix::remote {
namespace {

void Set(const termios& mode) {
  while (tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) != 0 && errno == EINTR) {
  }
}

}  // namespace

void Terminal::MakeRaw() {
  termios mode;
  if (tcgetattr(STDIN_FILENO, &mode) != 0) return;
  if (!before_) before_ = mode;
  cfmakeraw(&mode);
  Set(mode);
}

void Terminal::Restore() {
  if (!before_) return;
  Set(*before_);
  before_.reset();
}

TerminalSize Terminal::Size() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    winsize size{};
    if (ioctl(fd, TIOCGWINSZ, &size) == 0) return {.rows = size.ws_row, .columns = size.ws_col};
  }
  return {};
}

}  // namespace clustix::remote
