// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/lease.h"

#include <fstream>
#include <string>

namespace clustix::cache {
namespace {

// How long the counter's rate is measured before it is used first. Each extension measures again,
// from the start on.
constexpr uint64_t kMeasureNs = 1'000'000;

}  // namespace

// Linux takes the counter as its clock only if it is constant, does not stop, and agrees between
// cores.
LeaseClockKind Lease::BestClock() {
#if defined(__x86_64__)
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  if (std::getline(file, name) && name == "tsc") return LeaseClockKind::kTsc;
#endif
  return LeaseClockKind::kMonotonic;
}

Lease::Lease(NodePage* node, LeaseClockKind clock) : node_(node), clock_(clock) {
  if (clock_ != LeaseClockKind::kTsc) return;
  start_ns_ = MonotonicNs();
  start_tsc_ = LeaseNow(clock_);
}

void Lease::ExtendUntil(uint64_t deadline_ns) {
  // The counter is read first here and last at the start, and time passes in between: so its rate
  // comes out too low rather than too high, the time left too short, and the lease too early.
  uint64_t now = LeaseNow(clock_);
  uint64_t now_ns = MonotonicNs();
  while (clock_ == LeaseClockKind::kTsc && now_ns - start_ns_ < kMeasureNs) {
    now = LeaseNow(clock_);
    now_ns = MonotonicNs();
  }
  const uint64_t margin =
      kLeaseMarginNs + (deadline_ns > now_ns ? (deadline_ns - now_ns) >> 10 : 0);
  if (deadline_ns <= now_ns + margin) return Revoke();
  uint64_t left = deadline_ns - now_ns - margin;
  if (clock_ == LeaseClockKind::kTsc) {
    const double rate =
        static_cast<double>(now - start_tsc_) / static_cast<double>(now_ns - start_ns_);
    left = static_cast<uint64_t>(static_cast<double>(left) * rate);
  } else {
    now = now_ns;
  }
  node_->lease_until.store(now + left, std::memory_order_release);
}

void Lease::Revoke() { node_->lease_until.store(0, std::memory_order_release); }

}  // namespace clustix::cache
