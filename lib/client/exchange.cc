// SPDX-License-Identifier: Apache-2.0
#include "lib/client/exchange.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace clustix::client {

struct Batch {
  size_t remaining = 0;                // calls that have not ended
  Exchange::Waiter* waiter = nullptr;  // its thread
  bool cancelled = false;
  SetOutcome reason = SetOutcome::kDeadline;
  uint64_t wake_at = kNever;  // when it is to be cancelled; then, given up
};

namespace {

// After this, a thread that collects looks whether its time is over though nothing came.
constexpr uint64_t kSliceNs = 500'000'000;
constexpr uint64_t kRoomSliceNs = 1'000'000;
// How much later than asked the daemon may say by itself that the time is over.
constexpr uint64_t kTardinessNs = 50'000'000;
// What waits for no longer than this holds up nobody.
constexpr uint64_t kMomentNs = 1'000'000'000;

std::chrono::steady_clock::time_point AsTime(uint64_t ns) {
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX))));
}

// `argument` is the time that the daemon gives it.
bool HasTime(SetRequestKind kind) {
  return kind != SetRequestKind::kPut && kind != SetRequestKind::kRelease &&
         kind != SetRequestKind::kWatch && kind != SetRequestKind::kCancel;
}

// Nobody can tell whether such a request has been served or not.
bool ChangesNothing(SetRequestKind kind) {
  return kind == SetRequestKind::kGet || kind == SetRequestKind::kGrab ||
         kind == SetRequestKind::kFind || kind == SetRequestKind::kWatch ||
         kind == SetRequestKind::kRelease || kind == SetRequestKind::kSync ||
         kind == SetRequestKind::kCancel;
}

// May wait for what this program itself has to end.
bool WaitsForOthers(SetRequestKind kind) {
  return kind != SetRequestKind::kPut && kind != SetRequestKind::kRelease &&
         kind != SetRequestKind::kCancel;
}

SetOutcome OutcomeOf(SetReplyStatus status, SetRequestKind kind, SetOutcome reason) {
  switch (status) {
    case SetReplyStatus::kOk:
      return SetOutcome::kOk;
    case SetReplyStatus::kNotFound:
      return SetOutcome::kNotFound;
    case SetReplyStatus::kLost:
      return SetOutcome::kLost;
    case SetReplyStatus::kCancelled:
      return reason;
    case SetReplyStatus::kUnknown:
      return ChangesNothing(kind) ? reason : SetOutcome::kUnknown;
    case SetReplyStatus::kRevoked:
      return SetOutcome::kRevoked;
    case SetReplyStatus::kNoSpace:
      return SetOutcome::kNoSpace;
    case SetReplyStatus::kBadRequest:
      return SetOutcome::kInvalid;
    case SetReplyStatus::kUnavailable:
      return SetOutcome::kUnavailable;
    case SetReplyStatus::kDenied:
      return SetOutcome::kDenied;
    case SetReplyStatus::kRemoved:
      return SetOutcome::kSetRemoved;
  }
  return SetOutcome::kUnavailable;
}

}  // namespace

// --- Staging ---------------------------------------------------------------------------------

Staged::~Staged() {
  if (exchange_ != nullptr) exchange_->Give(offset_, bytes_);
}

std::byte* Staged::data() const { return exchange_->region_->staging() + offset_; }

void Exchange::Give(uint32_t offset, uint32_t bytes) {
  region_->staging_use().Give(offset, bytes);
  // Who looks for room counts itself first, and looks then.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (room_waiters_.load(std::memory_order_relaxed) == 0) return;
  const base::MutexLock lock(mutex_);
  WakeForRoom();
}

SetOutcome Exchange::Stage(uint32_t bytes, const Patience& patience, Staged* staged) {
  std::optional<uint32_t> offset = region_->staging_use().Take(bytes);
  if (!offset) {
    room_waiters_.fetch_add(1, std::memory_order_seq_cst);
    Waiter waiter;
    waiter.for_room = true;
    {
      const base::MutexLock lock(mutex_);
      AwaitUntil(
          [&] {
            offset = region_->staging_use().Take(bytes);
            return offset.has_value() || !alive();
          },
          [&] { return patience.deadline_ns; }, &waiter);
    }
    room_waiters_.fetch_sub(1, std::memory_order_relaxed);
  }
  if (!offset) return alive() ? SetOutcome::kDeadline : SetOutcome::kUnavailable;
  *staged = Staged(this, *offset, bytes);
  return SetOutcome::kOk;
}

// --- Asking ----------------------------------------------------------------------------------

bool Exchange::HasPlace(SetRequestKind kind) const {
  return used_ < (WaitsForOthers(kind) ? kWaitingMax : cache::kRingSlots);
}

// There is a place. nullptr: nobody is there to ask.
Exchange::Pending* Exchange::Push(const Call& call, bool more) {
  if (!alive()) return nullptr;
  const auto free = std::find_if(pending_.begin(), pending_.end(),
                                 [](const Pending& pending) { return !pending.used; });
  const auto slot = static_cast<uint64_t>(free - pending_.begin());
  const uint64_t cookie = ++generation_ * cache::kRingSlots + slot;
  const cache::Request request = {.cookie = cookie,
                                  .kind = static_cast<uint32_t>(call.kind),
                                  .set = call.set,
                                  .object = call.object,
                                  .object_version = call.object_version,
                                  .argument = call.argument,
                                  .staged_offset = call.staged.offset(),
                                  .staged_bytes = call.staged_bytes};
  if (region_->Ask(request, more) != cache::RingResult::kDone) {
    // As many as there are places fit on the ring: whoever is at its other end has broken it.
    Die();
    return nullptr;
  }
  free->used = true;
  free->cookie = cookie;
  free->kind = call.kind;
  free->set = call.set;
  free->object = call.object;
  free->room = call.staged_bytes;
  ++used_;
  return &*free;
}

bool Exchange::PushAll(std::span<Call> calls, Batch* batch, const Patience& patience) {
  for (size_t i = 0; i < calls.size(); ++i) {
    Call& call = calls[i];
    if (!HasPlace(call.kind)) {
      // What was pushed so far has not been announced.
      region_->RingDaemon();
      batch->waiter->for_room = true;
      const bool has_place =
          AwaitUntil([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                         mutex_) { return HasPlace(call.kind) || !alive() || batch->cancelled; },
                     [&] { return patience.deadline_ns; }, batch->waiter);
      batch->waiter->for_room = false;
      if (!has_place || batch->cancelled) {
        for (Call& left : calls.subspan(i)) left.outcome = batch->reason;
        return false;
      }
    }
    if (HasTime(call.kind)) call.argument = patience.LeftMs();
    const bool more = i + 1 < calls.size();
    Pending* pending = Push(call, more);
    if (pending == nullptr) return false;  // and so has everything ended
    call.asked = true;
    pending->call = &call;
    pending->batch = batch;
    ++batch->remaining;
  }
  return true;
}

void Exchange::RunAll(std::span<Call> calls, const Patience& patience) {
  if (calls.empty()) return;
  Waiter waiter;
  Batch batch;
  batch.waiter = &waiter;
  for (Call& call : calls) call.outcome = SetOutcome::kUnavailable;
  if (patience.cancel != nullptr &&
      !patience.cancel->Begin(&batch, [this, &batch] { Cancel(&batch); })) {
    for (Call& call : calls) call.outcome = SetOutcome::kCancelled;
    return;
  }
  {
    const base::MutexLock lock(mutex_);
    PushAll(calls, &batch, patience);
    if (!batch.cancelled && patience.deadline_ns != kNever) {
      batch.wake_at = patience.deadline_ns + (HasTime(calls[0].kind) ? kTardinessNs : 0);
    }
    const auto done = [&] { return batch.remaining == 0; };
    while (!AwaitUntil(
        done, [&] { return batch.wake_at; }, &waiter)) {
      if (batch.cancelled) {
        AbandonBatch(&batch);
        break;
      }
      CancelBatch(&batch, SetOutcome::kDeadline);
    }
  }
  if (patience.cancel != nullptr) patience.cancel->End(&batch);
}

size_t Exchange::Post(std::span<const Call> calls) {
  const base::MutexLock lock(mutex_);
  size_t posted = 0;
  for (const Call& call : calls) {
    if (!HasPlace(call.kind)) Drain();
    if (!HasPlace(call.kind) || Push(call, true) == nullptr) break;
    ++posted;
  }
  if (posted > 0) region_->RingDaemon();
  return posted;
}

void Exchange::Release(uint32_t set, uint64_t object, uint64_t hold) {
  const base::MutexLock lock(mutex_);
  Waiter waiter;
  waiter.for_room = true;
  const uint64_t until = cache::MonotonicNs() + kMomentNs;
  // If there is none even then, the daemon does not take what is asked; it will revoke the hold.
  AwaitUntil([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                 mutex_) { return HasPlace(SetRequestKind::kRelease) || !alive(); },
             [&] { return until; }, &waiter);
  if (!HasPlace(SetRequestKind::kRelease)) return;
  Push({.kind = SetRequestKind::kRelease, .set = set, .object = object, .argument = hold}, false);
}

// --- Waiting ---------------------------------------------------------------------------------

bool Exchange::AwaitUntil(absl::FunctionRef<bool()> ready, absl::FunctionRef<uint64_t()> until,
                          Waiter* waiter) {
  bool is_ready;
  while (!(is_ready = ready()) && alive()) {
    const uint64_t until_ns = until();
    if (until_ns != kNever && cache::MonotonicNs() >= until_ns) break;
    if (!collecting_ && !(waiter->for_others && SomebodyWaits())) {
      // Room in the staging area comes without a reply that would wake us.
      const uint64_t slice_ns = waiter->for_room ? kRoomSliceNs : kSliceNs;
      Collect(std::min(until_ns, cache::MonotonicNs() + slice_ns));
    } else {
      HandOver();  // to whoever we let go first
      Sleep(waiter, until_ns);
    }
  }
  HandOver();
  return is_ready || ready();
}

void Exchange::Collect(uint64_t until_ns) {
  collecting_ = true;
  mutex_.unlock();
  const absl::StatusOr<cache::Reply> reply = region_->AwaitReply(until_ns);
  mutex_.lock();
  collecting_ = false;
  if (reply.ok()) {
    if (!Dispatch(*reply)) Die();
  } else if (!absl::IsDeadlineExceeded(reply.status())) {
    Die();
  }
}

void Exchange::Drain() {
  while (!collecting_ && alive() && region_->HasReply()) Collect(0);
  HandOver();  // whoever ended meanwhile has found us collecting, and let go of nobody
}

void Exchange::Sleep(Waiter* waiter, uint64_t until_ns) {
  waiters_.push_back(waiter);
  if (until_ns == kNever) {
    waiter->wake.wait(mutex_);
  } else {
    waiter->wake.wait_until(mutex_, AsTime(until_ns));
  }
  std::erase(waiters_, waiter);
}

bool Exchange::SomebodyWaits() const {
  return std::any_of(waiters_.begin(), waiters_.end(),
                     [](const Waiter* waiter) { return !waiter->for_others; });
}

// Who collects for others has only this to do: it comes last.
void Exchange::HandOver() {
  if (collecting_ || waiters_.empty()) return;
  const auto first = std::find_if(waiters_.begin(), waiters_.end(),
                                  [](const Waiter* waiter) { return !waiter->for_others; });
  (first == waiters_.end() ? waiters_.front() : *first)->wake.notify_one();
}

void Exchange::WakeForRoom() {
  for (Waiter* waiter : waiters_) {
    if (waiter->for_room) waiter->wake.notify_one();
  }
}

// --- Ending ----------------------------------------------------------------------------------

// False: the daemon has answered what nobody asked, or with what cannot be.
bool Exchange::Dispatch(const cache::Reply& reply) {
  Pending& pending = pending_[reply.cookie % cache::kRingSlots];
  if (!pending.used || pending.cookie != reply.cookie || reply.staged_bytes > pending.room ||
      reply.status > static_cast<uint32_t>(SetReplyStatus::kRemoved)) {
    return false;
  }
  const SetOutcome reason =
      pending.batch != nullptr ? pending.batch->reason : SetOutcome::kDeadline;
  End(pending, OutcomeOf(static_cast<SetReplyStatus>(reply.status), pending.kind, reason), reply);
  return true;
}

void Exchange::End(Pending& pending, SetOutcome outcome, const cache::Reply& reply) {
  if (pending.call != nullptr) {
    pending.call->outcome = outcome;
    pending.call->reply = reply;
    Batch* batch = pending.batch;
    if (--batch->remaining == 0) batch->waiter->wake.notify_one();
  } else if (pending.done != nullptr) {
    ended_.emplace_back(std::move(pending.done), Call{.kind = pending.kind,
                                                      .set = pending.set,
                                                      .object = pending.object,
                                                      .outcome = outcome,
                                                      .reply = reply});
    for (Waiter* waiter : waiters_) {
      if (waiter->for_others) waiter->wake.notify_one();
    }
  }
  const bool unused_hold = pending.call == nullptr && pending.kind == SetRequestKind::kGrab &&
                           (outcome == SetOutcome::kOk || outcome == SetOutcome::kNotFound);
  Pending ended = std::exchange(pending, Pending());
  --used_;
  // Not by its destructor, which would take our lock.
  if (ended.staged) region_->staging_use().Give(ended.staged.offset(), ended.staged.bytes());
  ended.staged.exchange_ = nullptr;
  if (unused_hold) GiveBack(ended, reply);
  WakeForRoom();
}

// A grab that nobody waits for any more was granted. There is a place: its own.
void Exchange::GiveBack(const Pending& pending, const cache::Reply& reply) {
  Push({.kind = SetRequestKind::kRelease,
        .set = pending.set,
        .object = pending.object,
        .argument = reply.argument},
       false);
}

void Exchange::CancelBatch(Batch* batch, SetOutcome reason) {
  if (batch->cancelled) return;
  batch->cancelled = true;
  batch->reason = reason;
  batch->wake_at = cache::MonotonicNs() + kSilenceNs;
  for (size_t slot = 0; slot < pending_.size() && alive(); ++slot) {
    const Pending& pending = pending_[slot];
    if (!pending.used || pending.batch != batch || !HasPlace(SetRequestKind::kCancel)) continue;
    Push({.kind = SetRequestKind::kCancel, .set = pending.set, .argument = pending.cookie}, false);
  }
  batch->waiter->wake.notify_one();
}

// The daemon does not answer. What it has of the calls, bytes and places, it keeps until it does.
void Exchange::AbandonBatch(Batch* batch) {
  for (Pending& pending : pending_) {
    if (!pending.used || pending.batch != batch) continue;
    Call* call = std::exchange(pending.call, nullptr);
    pending.batch = nullptr;
    pending.staged = std::move(call->staged);
    call->outcome = ChangesNothing(pending.kind) ? batch->reason : SetOutcome::kUnknown;
    --batch->remaining;
  }
}

void Exchange::Cancel(Batch* batch) {
  const base::MutexLock lock(mutex_);
  CancelBatch(batch, SetOutcome::kCancelled);
}

void Exchange::Die() {
  if (!alive_.exchange(false, std::memory_order_acq_rel)) return;
  region_->Close();
  for (Pending& pending : pending_) {
    if (!pending.used) continue;
    const bool unknown = !ChangesNothing(pending.kind);
    End(pending, unknown ? SetOutcome::kUnknown : SetOutcome::kUnavailable, {});
  }
  for (Waiter* waiter : waiters_) waiter->wake.notify_one();
}

void Exchange::Close() {
  region_->Close();  // wakes who collects
  const base::MutexLock lock(mutex_);
  Die();
}

// --- For others ------------------------------------------------------------------------------

uint64_t Exchange::Begin(const Call& call, std::function<void(const Call&)> done) {
  const base::MutexLock lock(mutex_);
  if (!HasPlace(call.kind)) Drain();
  if (!HasPlace(call.kind)) return 0;
  Pending* pending = Push(call, false);
  if (pending == nullptr) return 0;
  pending->done = std::move(done);
  return pending->cookie;
}

bool Exchange::Forget(uint64_t cookie) {
  const base::MutexLock lock(mutex_);
  Pending& pending = pending_[cookie % cache::kRingSlots];
  if (!pending.used || pending.cookie != cookie || pending.done == nullptr) return false;
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
