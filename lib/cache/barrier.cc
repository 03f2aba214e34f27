// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "lib/base/log.h"

namespace clustix::cache {
namespace {

long Membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

bool CanMembarrier() {
  const long commands = Membarrier(MEMBARRIER_CMD_QUERY);
  constexpr long kNeeded =
      MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
  return commands >= 0 && (commands & kNeeded) == kNeeded &&
         Membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

}  // namespace

HeavyFence::HeavyFence(bool allow_membarrier)
    : kind_(allow_membarrier && CanMembarrier() ? FenceKind::kMembarrier : FenceKind::kFull) {}

void HeavyFence::Pass() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (kind_ == FenceKind::kFull) return;
  // It was allowed before, and clients rely on it: to go on without would let them read what is
  // overwritten.
  if (Membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0) {
    base::Log(base::LogLevel::kError, "cache", "membarrier is refused, though it worked before");
    abort();
  }
}

LightFence LightFence::Register(FenceKind daemon) {
  return LightFence(daemon != FenceKind::kMembarrier ||
                    Membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) != 0);
}

}  // namespace clustix::cache
