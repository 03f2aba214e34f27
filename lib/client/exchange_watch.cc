// SPDX-License-Identifier: Apache-2.0
//
// What watches ask, for which no thread waits.
#include <utility>
#include <vector>

#include "lib/client/exchange.h"
#include "lib/client/exchange_batch.h"

namespace clustix::client {

SetOutcome Exchange::SetAside(const Patience& patience) {
  Waiter waiter;
  Batch batch;
  batch.waiter = &waiter;
  const Cancelling cancelling(this, &batch, patience);
  if (!cancelling.begun()) return SetOutcome::kCancelled;
  const base::MutexLock lock(mutex_);
  if (!AwaitPlace(&batch, SetRequestKind::kWatch, patience.deadline_ns)) return batch.reason;
  ++set_aside_;
  return SetOutcome::kOk;
}

uint64_t Exchange::Begin(const Call& call, std::function<void(const Call&)> done) {
  const base::MutexLock lock(mutex_);
  Pending* pending = Push(call, false);
  if (pending == nullptr) return 0;
  --set_aside_;
  pending->done = std::move(done);
  return pending->cookie;
}

bool Exchange::Forget(uint64_t cookie) {
  const base::MutexLock lock(mutex_);
  Pending& pending = pending_[cookie % cache::kRingSlots];
  if (!pending.used || pending.cookie != cookie || pending.done == nullptr) {
    --set_aside_;
    WakeForRoom();
    return false;
  }
  pending.done = nullptr;
  if (HasPlace(SetRequestKind::kCancel)) {
    Push({.kind = SetRequestKind::kCancel, .set = pending.set, .argument = cookie}, false);
  }
  return true;
}

void Exchange::CollectForOthers() {
  Waiter waiter;
  waiter.for_others = true;
  for (;;) {
    std::vector<std::pair<std::function<void(const Call&)>, Call>> ended;
    {
      const base::MutexLock lock(mutex_);
      AwaitUntil([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !ended_.empty(); },
                 [] { return kNever; }, &waiter);
      ended.swap(ended_);
    }
    if (ended.empty()) return;  // closed, and all of it told
    for (auto& [done, call] : ended) done(call);
  }
}

}  // namespace clustix::client
