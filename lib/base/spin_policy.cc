// SPDX-License-Identifier: Apache-2.0
#include "lib/base/spin_policy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "lib/base/unique_fd.h"

namespace clustix::base {

uint64_t SpinPolicy::Budget(uint64_t now) {
  if (limit_ == 0) return 0;
  if (confidence_ == 0 && ++skipped_ < kTryAgain) return 0;
  skipped_ = 0;
  if (now >= ask_at_) {
    idle_ = cores_idle_();
    ask_at_ = now + (idle_ ? kAskIdleNs : kAskBusyNs);
  }
  return idle_ ? limit_ : 0;
}

void SpinPolicy::Report(bool found, uint64_t longest_gap) {
  if (longest_gap >= kPreemptedNs) {
    confidence_ = 0;
  } else {
    confidence_ = std::clamp(confidence_ + (found ? 1 : -1), 0, kPatience);
  }
}

std::function<bool()> IdleCoresProbe() {
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  if (online < 2) return [] { return false; };
  const auto file = std::make_shared<base::UniqueFd>(open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  if (!file->valid()) return [] { return false; };
  return [file, online] {
    // "0.20 0.18 0.12 1/80 11206": the fourth field is running/all threads.
    char text[128];
    const ssize_t bytes = pread(file->get(), text, sizeof text - 1, 0);
    if (bytes <= 0) return false;
    text[bytes] = '\0';
    long running = 0;
    return sscanf(text, "%*s %*s %*s %ld/", &running) == 1 && running <= online;
  };
}

}  // namespace clustix::base
