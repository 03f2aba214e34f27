// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/lease.h"

#include <fstream>
#include <string>

namespace clustix::cache {
namespace {

// How long the counter's rate is measured at least. Each extension measures it since the last one:
// while the machine sleeps the counter may go on, or start anew.
constexpr uint64_t kMeasureNs = 1'000'000;

// Unlike CLOCK_MONOTONIC it goes on while the machine sleeps.
uint64_t BootNs() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

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
  if (clock_ == LeaseClockKind::kTsc) BeginMeasuring();
}

// The counter is read last here and first where the measuring ends, and time passes in between: so
// its rate comes out too low rather than too high, the time left too short, and the lease too
// early.
void Lease::BeginMeasuring() {
  base_ns_ = BootNs();
  base_tsc_ = LeaseNow(clock_);
}

void Lease::MeasureRate() {
  uint64_t tsc = LeaseNow(clock_), ns = BootNs();
  if (tsc < base_tsc_) {  // it has started anew
    rate_ = 0;
    BeginMeasuring();
    ns = base_ns_;
  }
  while (rate_ == 0 && ns - base_ns_ < kMeasureNs) {
    tsc = LeaseNow(clock_);
    ns = BootNs();
  }
  if (ns - base_ns_ < kMeasureNs) return;
  rate_ = static_cast<double>(tsc - base_tsc_) / static_cast<double>(ns - base_ns_);
  BeginMeasuring();
}

void Lease::ExtendUntil(uint64_t deadline_ns) {
  if (clock_ == LeaseClockKind::kTsc) MeasureRate();
  uint64_t now = LeaseNow(clock_);
  const uint64_t now_ns = MonotonicNs();
  const uint64_t margin =
      kLeaseMarginNs + (deadline_ns > now_ns ? (deadline_ns - now_ns) >> 10 : 0);
  if (deadline_ns <= now_ns + margin) return Revoke();
  uint64_t left = deadline_ns - now_ns - margin;
  if (clock_ == LeaseClockKind::kTsc) {
    left = static_cast<uint64_t>(static_cast<double>(left) * rate_);
  } else {
    now = now_ns;
  }
  node_->lease_until.store(now + left, std::memory_order_release);
}

void Lease::Revoke() { node_->lease_until.store(0, std::memory_order_release); }

}  // namespace clustix::cache
