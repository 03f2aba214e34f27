// SPDX-License-Identifier: Apache-2.0
//
// Until when this node may serve what it has cached. The daemon extends the lease as long as it is
// in the cluster's view; a daemon that is stopped, or has ended, extends nothing, and its clients
// stop being served when the lease runs out, by themselves.
//
// A read asks after it has validated what it read: the moment that counts is before the question,
// so a lease that still holds then held at that moment too. To ask before as well would prove
// nothing more, and cost a second look at the clock.
//
// The clock is the time-stamp counter where Linux itself trusts it (10 ns), else CLOCK_MONOTONIC
// (33 ns). Not CLOCK_MONOTONIC_COARSE, though it takes 7: it stands still while the core whose tick
// drives it does not run, as under a hypervisor that has descheduled it, and a lease that never
// runs out is none. rdtsc needs no fence: it can run ahead of the loads before it only as long as
// these are in flight, microseconds, which kLeaseMarginNs covers a thousandfold.
#ifndef CLUSTIX_LIB_CACHE_LEASE_H_
#define CLUSTIX_LIB_CACHE_LEASE_H_

#include <atomic>
#include <cstdint>
#include <ctime>

#include "lib/cache/layout.h"
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace clustix::cache {

// A lease ends this much earlier for clients, and by 1/1024 of what is left, for clocks that drift.
inline constexpr uint64_t kLeaseMarginNs = 1'000'000;

inline uint64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

inline uint64_t LeaseNow(LeaseClockKind clock) {
#if defined(__x86_64__)
  if (clock == LeaseClockKind::kTsc) [[likely]]
    return __rdtsc();
#endif
  return MonotonicNs();
}

// Whether the lease held when the caller's last load before this was done. Any thread.
inline bool LeaseHolds(const NodePage& node) {
  // The compiler must not look at the clock first; the processor may, see above.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const uint64_t now = LeaseNow(node.clock);
  return now < node.lease_until.load(std::memory_order_relaxed);
}

// The daemon's side. One thread at a time.
class Lease {
 public:
  // Writes into `node`, which must live as long.
  Lease(NodePage* node, LeaseClockKind clock);
  // The clock that suits this machine.
  static LeaseClockKind BestClock();

  // Serve until `deadline_ns` of CLOCK_MONOTONIC, less the margin. An earlier deadline than the
  // last one takes effect as well, for reads that have not been validated yet.
  void ExtendUntil(uint64_t deadline_ns);
  // Serve no more.
  void Revoke();

 private:
  void BeginMeasuring();
  void MeasureRate();

  NodePage* node_;
  LeaseClockKind clock_;
  // Of the counter, in a nanosecond; what is to come is measured from these two on.
  double rate_ = 0;
  uint64_t base_ns_ = 0;  // by CLOCK_BOOTTIME
  uint64_t base_tsc_ = 0;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_LEASE_H_
