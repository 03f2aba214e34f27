// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/deadlines.h"

#include <algorithm>
#include <utility>

#include "lib/base/time_units.h"

namespace clustix::daemon {
namespace {

// Longer than that is no limit; and the sum with the clock stays a time.
constexpr uint64_t kTimeoutMsMax = 1000ull * 3600 * 24 * 365;

}  // namespace

uint64_t Deadlines::Add(kddm::OpId op, uint64_t timeout_ms) {
  const uint64_t at = loop_.Now() / kNsPerMs + 1 + std::min(timeout_ms, kTimeoutMsMax);
  Entry& entry = entries_[at];
  ++entry.awaited;
  entry.ops.push_back(op);
  if (timer_at_ == 0 || at < timer_at_) Arm();
  return at;
}

// The timer stays: who asks next mostly has the same limit, and needs no other then.
void Deadlines::Remove(uint64_t deadline) {
  const auto found = entries_.find(deadline);
  if (found != entries_.end() && --found->second.awaited == 0) entries_.erase(found);
}

void Deadlines::Arm() {
  loop_.Cancel(std::exchange(timer_, 0));
  timer_at_ = entries_.empty() ? 0 : entries_.begin()->first;
  if (timer_at_ != 0) timer_ = loop_.RunAt(timer_at_ * kNsPerMs, [this] { Pass(); });
}

// What ends may begin others.
void Deadlines::Pass() {
  timer_ = 0;
  const uint64_t now = loop_.Now() / kNsPerMs;
  while (!entries_.empty() && entries_.begin()->first <= now) {
    const auto first = entries_.extract(entries_.begin());
    for (const kddm::OpId op : first.mapped().ops) passed_(op);
  }
  Arm();
}

}  // namespace clustix::daemon
