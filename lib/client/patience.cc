// SPDX-License-Identifier: Apache-2.0
#include "lib/client/patience.h"

#include <utility>

#include "lib/client/guard_access.h"

namespace clustix::client {

Patience::Patience(const Wait& wait) : cancel(GuardAccess::StateOf(wait.canceller)) {
  // What would overflow is no deadline either.
  if (wait.timeout_ms != 0 && wait.timeout_ms < kNever / (2 * kNsPerMs)) {
    deadline_ns = cache::MonotonicNs() + wait.timeout_ms * kNsPerMs;
  }
}

uint64_t Patience::LeftMs() const {
  if (deadline_ns == kNever) return 0;
  const uint64_t now = cache::MonotonicNs();
  return now >= deadline_ns ? 1 : (deadline_ns - now + kNsPerMs - 1) / kNsPerMs;
}

}  // namespace clustix::client

namespace clustix {

void CancelState::Cancel() {
  const base::MutexLock lock(mutex_);
  cancelled_ = true;
  for (const UnderWay& one : under_way_) one.cancel();
}

bool CancelState::Begin(const void* what, std::function<void()> cancel) {
  const base::MutexLock lock(mutex_);
  if (!cancelled_) under_way_.push_back({what, std::move(cancel)});
  return !cancelled_;
}

void CancelState::End(const void* what) {
  const base::MutexLock lock(mutex_);
  std::erase_if(under_way_, [what](const UnderWay& one) { return one.what == what; });
}

Canceller::Canceller() : state_(std::make_unique<CancelState>()) {}
Canceller::~Canceller() = default;
void Canceller::Cancel() { state_->Cancel(); }

}  // namespace clustix
