// SPDX-License-Identifier: Apache-2.0
//
// A fence with two unequal halves. A client stores a pin and then looks at the index again; the
// daemon changes the index and then looks at the pins. One of them must see the other's store,
// which takes a full fence on both sides, some 5 to 20 ns each. With membarrier(2) the daemon pays
// for both: the kernel makes every core that runs a registered process pass a full fence, and the
// client needs only the compiler's order. Where membarrier is not allowed, both sides fence.
#ifndef CLUSTIX_LIB_CACHE_BARRIER_H_
#define CLUSTIX_LIB_CACHE_BARRIER_H_

#include <atomic>

#include "lib/cache/layout.h"

namespace clustix::cache {

// The daemon's half. One thread at a time.
class HeavyFence {
 public:
  // `allow_membarrier` false: as if the kernel refused, for tests.
  explicit HeavyFence(bool allow_membarrier = true);
  FenceKind kind() const { return kind_; }
  // What this thread has stored before, every client sees whose LightFence comes later; and what
  // clients have stored before their LightFence, this thread sees from now on, or they see ours.
  void Pass();

 private:
  FenceKind kind_;
};

// A client's half. Register once in a process, before its first pin; then any thread.
class LightFence {
 public:
  LightFence() = default;
  // `daemon` is what the node page says. If this process cannot be registered, it fences itself.
  static LightFence Register(FenceKind daemon);
  void Pass() const {
    if (full_) [[unlikely]] {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
  }
  bool full() const { return full_; }

 private:
  explicit LightFence(bool full) : full_(full) {}
  bool full_ = true;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_BARRIER_H_
