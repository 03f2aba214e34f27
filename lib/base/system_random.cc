// SPDX-License-Identifier: Apache-2.0
#include "lib/base/system_random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

#include "lib/base/log.h"

namespace clustix::base {

void FillRandom(void* to, size_t bytes) {
  auto* out = static_cast<uint8_t*>(to);
  while (bytes > 0) {
    const ssize_t got = getrandom(out, bytes, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      Log(LogLevel::kError, "base", "getrandom failed, cannot go on", {{"errno", errno}});
      abort();
    }
    out += got;
    bytes -= static_cast<size_t>(got);
  }
}

uint64_t RandomId() {
  uint64_t id = 0;
  while (id == 0) FillRandom(&id, sizeof id);
  return id;
}

}  // namespace clustix::base
