// SPDX-License-Identifier: Apache-2.0
#include "lib/base/descriptor_limit.h"

#include <sys/resource.h>

#include <atomic>

namespace clustix::base {
namespace {

std::atomic<rlim_t> soft_before{RLIM_INFINITY};  // RLIM_INFINITY: it was not raised

}  // namespace

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) soft_before = before;
}

void RestoreDescriptorLimit(pid_t child) {
  if (soft_before == RLIM_INFINITY) return;
  rlimit limit{};
  if (prlimit(child, RLIMIT_NOFILE, nullptr, &limit) != 0) return;
  limit.rlim_cur = soft_before;
  prlimit(child, RLIMIT_NOFILE, &limit, nullptr);
}

}  // namespace clustix::base
