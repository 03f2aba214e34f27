// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace clustix::command {

int Fail(const std::string& message) {
  std::fprintf(stderr, "clustix: %s\n", message.c_str());
  return kExitFailed;
}

int Fail(const absl::Status& status) {
  return Fail(std::string(status.message().data(), status.message().size()));
}

int Misuse(const std::string& message) {
  Fail(message);
  return kExitUsage;
}

size_t TerminalColumns(size_t otherwise) {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

}  // namespace clustix::command
