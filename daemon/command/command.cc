// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/command.h"

#include <cstdio>

namespace clustix::command {

int Fail(const std::string& message) {
  std::fprintf(stderr, "clustix: %s\n", message.c_str());
  return kExitFailed;
}

int Fail(const absl::Status& status) {
  return Fail(std::string(status.message().data(), status.message().size()));
}

}  // namespace clustix::command
