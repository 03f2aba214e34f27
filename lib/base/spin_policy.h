// SPDX-License-Identifier: Apache-2.0
//
// When a thread that has nothing to do should look out for a while before it sleeps. To wake a
// sleeping thread on another core takes some 30 us, several times what a message takes on the way:
// one that looks out for about as long is at most twice as expensive as the better choice (Karlin
// et al., "Competitive randomized algorithms for non-uniform problems", 1990), as long as the core
// has nothing else to do. So it looks out only while that pays, and while no thread of the machine
// waits for a core.
//
// Times are nanoseconds of the caller's clock: none is read here. One thread, the one that sleeps.
#ifndef CLUSTIX_LIB_BASE_SPIN_POLICY_H_
#define CLUSTIX_LIB_BASE_SPIN_POLICY_H_

#include <cstdint>
#include <functional>
#include <utility>

namespace clustix::base {

class SpinPolicy {
 public:
  // `limit`: how long to look out at most; 0: never. `cores_idle` says whether no thread waits for
  // a core now; asked again after kAskIdleNs if none did, else, as most of them run for a moment
  // only, after kAskBusyNs.
  SpinPolicy(uint64_t limit, std::function<bool()> cores_idle)
      : limit_(limit), cores_idle_(std::move(cores_idle)) {}

  // How long to look out before the sleep that is due at `now`; 0: not at all.
  uint64_t Budget(uint64_t now);
  // How that ended: something came, or the time was over; and the longest time between two looks,
  // during which somebody else must have had the core.
  void Report(bool found, uint64_t longest_gap);

  static constexpr uint64_t kAskIdleNs = 10'000'000;
  static constexpr uint64_t kAskBusyNs = 1'000'000;
  static constexpr uint64_t kPreemptedNs = 100'000;
  // After this many vain attempts more than successful ones ...
  static constexpr int kPatience = 8;
  // ... only one sleep in this many is preceded by one.
  static constexpr int kTryAgain = 32;

 private:
  const uint64_t limit_;
  const std::function<bool()> cores_idle_;
  bool idle_ = true;
  uint64_t ask_at_ = 0;
  int confidence_ = kPatience;
  int skipped_ = 0;
};

// Whether at most as many threads want to run on this machine as it has cores, the caller's
// included; from /proc/loadavg. False if there is one core only, or if it cannot be told.
std::function<bool()> IdleCoresProbe();

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_SPIN_POLICY_H_
