// SPDX-License-Identifier: Apache-2.0
#include "lib/client/exchange.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "lib/client/exchange_batch.h"

namespace clustix::client {

namespace {

// After this, a thread that collects looks whether its time is over though nothing came.
constexpr uint64_t kSliceNs = 500'000'000;
constexpr uint64_t kRoomSliceNs = 1'000'000;
// How much later than asked the daemon may say by itself that the time is over.
constexpr uint64_t kTardinessNs = 50'000'000;
// Of the staging area, where that ends which is not for puts alone: these have room for the
// largest.
constexpr uint32_t kStagedEnd = cache::kStagingBytes - cache::kObjectBytesMax;
// What waits for no longer than this holds up nobody.
constexpr uint64_t kMomentNs = 1'000'000'000;
// With so many places free in a window, some are asked again: to wake the daemon costs as much as
// several answers.
constexpr size_t kRefill = kWindow / 4;

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

void Batch::Note(Call* call) {
  --remaining;
  if (ended != nullptr) ended->push_back(call);
  if (remaining == 0 || (ended != nullptr && ended->size() == 1)) waiter->wake.notify_one();
}

Exchange::Exchange(cache::ClientRegion* region) : region_(region) {
  std::iota(places_.begin(), places_.end(), uint16_t{0});
}

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

SetOutcome Exchange::Stage(SetRequestKind kind, uint32_t bytes, const Patience& patience,
                           Staged* staged) {
  const uint32_t end = kind == SetRequestKind::kPut ? cache::kStagingBytes : kStagedEnd;
  std::optional<uint32_t> offset = region_->staging_use().Take(bytes, end);
  if (!offset) {
    Waiter waiter;
    waiter.for_room = true;
    Batch batch;
    batch.waiter = &waiter;
    const Cancelling cancelling(this, &batch, patience);
    if (!cancelling.begun()) return SetOutcome::kCancelled;
    room_waiters_.fetch_add(1, std::memory_order_seq_cst);
    {
      const base::MutexLock lock(mutex_);
      AwaitUntil(
          [&] {
            if (!batch.cancelled) offset = region_->staging_use().Take(bytes, end);
            return offset.has_value() || batch.cancelled || !alive();
          },
          [&] { return patience.deadline_ns; }, &waiter);
    }
    room_waiters_.fetch_sub(1, std::memory_order_relaxed);
    if (!offset && batch.cancelled) return batch.reason;
  }
  if (!offset) return alive() ? SetOutcome::kDeadline : SetOutcome::kUnavailable;
  *staged = Staged(this, *offset, bytes);
  return SetOutcome::kOk;
}

// --- Asking ----------------------------------------------------------------------------------

bool Exchange::HasPlace(SetRequestKind kind) const {
  return used_ + set_aside_ < (WaitsForOthers(kind) ? kWaitingMax : cache::kRingSlots);
}

bool Exchange::MayPost(SetRequestKind kind) const {
  return HasPlace(kind) && (!WaitsForOthers(kind) || posted_ < kPostedMax);
}

// There is a place. nullptr: nobody is there to ask.
Exchange::Pending* Exchange::Push(const Call& call, bool more) {
  if (!alive()) return nullptr;
  const uint16_t place = places_[used_];
  const uint64_t cookie = ++generation_ * cache::kRingSlots + place;
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
  Pending& pending = pending_[place];
  pending.used = true;
  pending.cookie = cookie;
  pending.kind = call.kind;
  pending.set = call.set;
  pending.object = call.object;
  pending.room = call.staged_bytes;
  ++used_;
  return &pending;
}

// False: so nothing goes on any more.
bool Exchange::PushFor(Batch* batch, Call& call, const Patience& patience, bool more) {
  if (HasTime(call.kind)) call.argument = patience.LeftMs();
  Pending* pending = Push(call, more);
  if (pending == nullptr) return false;
  call.asked = true;
  pending->call = &call;
  pending->batch = batch;
  ++batch->remaining;
  return true;
}

// False: there is none, the time is over, or it is cancelled.
bool Exchange::AwaitPlace(Batch* batch, SetRequestKind kind, uint64_t until_ns) {
  if (batch->cancelled) return false;  // since it can be, and before we had the lock
  if (HasPlace(kind)) return true;
  batch->waiter->for_room = true;
  const bool awaited =
      AwaitUntil([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                     mutex_) { return HasPlace(kind) || !alive() || batch->cancelled; },
                 [&] { return until_ns; }, batch->waiter);
  batch->waiter->for_room = false;
  return awaited && !batch->cancelled;
}

// Waits until `ready`. What the daemon does not end in time is cancelled; then, given up.
void Exchange::AwaitEnds(Batch* batch, absl::FunctionRef<bool()> ready) {
  while (!AwaitUntil(
      ready, [batch] { return batch->wake_at; }, batch->waiter)) {
    if (batch->cancelled) return AbandonBatch(batch);
    CancelBatch(batch, SetOutcome::kDeadline);
  }
}

void Exchange::Run(Call& call, const Patience& patience) {
  Waiter waiter;
  Batch batch;
  batch.waiter = &waiter;
  call.outcome = SetOutcome::kUnavailable;
  const Cancelling cancelling(this, &batch, patience);
  if (!cancelling.begun()) {
    call.outcome = SetOutcome::kCancelled;
    return;
  }
  const base::MutexLock lock(mutex_);
  if (!AwaitPlace(&batch, call.kind, patience.deadline_ns)) {
    call.outcome = batch.reason;
  } else {
    PushFor(&batch, call, patience, false);
  }
  if (!batch.cancelled && patience.deadline_ns != kNever) {
    batch.wake_at = patience.deadline_ns + (HasTime(call.kind) ? kTardinessNs : 0);
  }
  AwaitEnds(&batch, [&] { return batch.remaining == 0; });
}

// The calls of one RunMany() that are under way, and places for more.
class Window {
 public:
  Window(Exchange* exchange, size_t count, absl::FunctionRef<Call(size_t)> make,
         const Patience& patience)
      : exchange_(exchange),
        count_(count),
        make_(make),
        patience_(patience),
        calls_(std::min(count, kWindow)),
        numbers_(calls_.size()) {
    batch_.waiter = &waiter_;
    batch_.ended = &ended_;
    if (patience.deadline_ns != kNever) batch_.wake_at = patience.deadline_ns + kTardinessNs;
    for (Call& call : calls_) free_.push_back(&call);
    cancelling_.emplace(exchange_, &batch_, patience);
  }
  // Also if what is called in between throws: then some are still under way.
  ~Window() {
    const base::MutexLock lock(exchange_->mutex_);
    exchange_->AbandonBatch(&batch_);
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  // Asks what there is room for, and waits for answers. What has ended; empty: all has that could
  // be asked.
  const std::vector<Call*>& Turn() {
    free_.insert(free_.end(), told_.begin(), told_.end());
    told_.clear();
    const base::MutexLock lock(exchange_->mutex_);
    // While the caller was busy answers came, perhaps the last ones within the time.
    exchange_->Drain();
    const bool idle = batch_.remaining == 0 && ended_.empty();
    if (idle || free_.size() >= kRefill) Fill(idle);
    exchange_->AwaitEnds(&batch_, [this] { return !ended_.empty() || batch_.remaining == 0; });
    told_.swap(ended_);
    return told_;
  }
  size_t NumberOf(const Call* call) const {
    return numbers_[static_cast<size_t>(call - calls_.data())];
  }
  // The first that has not been asked, and why.
  size_t next() const { return next_; }
  SetOutcome outcome() const {
    if (!cancelling_->begun()) return SetOutcome::kCancelled;
    return exchange_->alive() ? batch_.reason : SetOutcome::kUnavailable;
  }

 private:
  // There is a free place here. `idle`: nothing else is to be waited for than one on the ring.
  void Fill(bool idle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(exchange_->mutex_) {
    const bool goes_on = cancelling_->begun() && !batch_.cancelled && exchange_->alive();
    if (next_ == count_ || !goes_on) return;
    const auto kind = SetRequestKind::kGet;
    if (idle && !exchange_->AwaitPlace(&batch_, kind, patience_.deadline_ns)) return;
    bool more = true;
    while (more && exchange_->HasPlace(kind)) {
      Call* call = free_.back();
      free_.pop_back();
      *call = make_(next_);
      call->outcome = SetOutcome::kUnavailable;
      numbers_[static_cast<size_t>(call - calls_.data())] = next_++;
      more = next_ < count_ && !free_.empty();
      if (!exchange_->PushFor(&batch_, *call, patience_, true)) return ended_.push_back(call);
    }
    exchange_->region_->RingDaemon();
  }

  Exchange* const exchange_;
  const size_t count_;
  const absl::FunctionRef<Call(size_t)> make_;
  const Patience& patience_;
  Exchange::Waiter waiter_;
  Batch batch_;
  std::vector<Call> calls_;
  std::vector<size_t> numbers_;  // of the calls
  std::vector<Call*> free_;
  std::vector<Call*> ended_;  // with the exchange's lock
  std::vector<Call*> told_;
  size_t next_ = 0;
  std::optional<Cancelling> cancelling_;  // once all that it touches is there
};

void Exchange::RunMany(size_t count, absl::FunctionRef<Call(size_t)> make,
                       absl::FunctionRef<void(size_t, Call&)> ended, const Patience& patience) {
  if (count == 0) return;
  Window window(this, count, make, patience);
  for (;;) {
    const std::vector<Call*>& told = window.Turn();
    if (told.empty()) break;
    for (Call* call : told) ended(window.NumberOf(call), *call);
  }
  for (size_t number = window.next(); number < count; ++number) {
    Call call = make(number);
    call.outcome = window.outcome();
    ended(number, call);
  }
}

size_t Exchange::Post(std::span<const Call> calls) {
  const base::MutexLock lock(mutex_);
  size_t posted = 0;
  for (const Call& call : calls) {
    if (!MayPost(call.kind)) Drain();
    Pending* pending = MayPost(call.kind) ? Push(call, true) : nullptr;
    if (pending == nullptr) break;
    pending->posted = WaitsForOthers(call.kind);
    if (pending->posted) ++posted_;
    ++posted;
  }
  if (posted > 0) region_->RingDaemon();
  return posted;
}

bool Exchange::AwaitPosted(uint32_t set, uint64_t object, const Patience& patience) {
  Waiter waiter;
  waiter.for_room = true;  // its place is to be free again
  Batch batch;
  batch.waiter = &waiter;
  const Cancelling cancelling(this, &batch, patience);
  if (!cancelling.begun()) return false;
  const base::MutexLock lock(mutex_);
  const auto posted =
      std::find_if(pending_.begin(), posted_ == 0 ? pending_.begin() : pending_.end(),
                   [&](const Pending& pending) {
                     return pending.posted && pending.kind == SetRequestKind::kGet &&
                            pending.object == object && pending.set == set;
                   });
  const bool awaited = posted_ > 0 && posted != pending_.end();
  if (awaited) {
    AwaitUntil([&, cookie = posted->cookie]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                   mutex_) { return posted->cookie != cookie || batch.cancelled; },
               [&] { return patience.deadline_ns; }, &waiter);
  }
  return awaited;
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
  absl::StatusOr<cache::Reply> reply = region_->AwaitReply(until_ns);
  mutex_.lock();
  collecting_ = false;
  // Those that have come with it need no lock of their own.
  for (; reply.ok(); reply = region_->AwaitReply(0)) {
    if (!Dispatch(*reply)) return Die();
    if (!alive() || !region_->HasReply()) return;
  }
  if (!absl::IsDeadlineExceeded(reply.status())) Die();
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
    pending.batch->Note(pending.call);
  } else if (pending.done != nullptr) {
    ++set_aside_;
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
  places_[--used_] = static_cast<uint16_t>(&pending - pending_.data());
  if (ended.posted) --posted_;
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
    batch->Note(call);
  }
}

void Exchange::Cancel(Batch* batch) {
  const base::MutexLock lock(mutex_);
  CancelBatch(batch, SetOutcome::kCancelled);
}

void Exchange::Die() {
  // First: whoever pins an object and sees us alive then was served before the daemon let go of us.
  if (!alive_.exchange(false, std::memory_order_acq_rel)) return;
  region_->Close();  // wakes who collects, too
  for (Pending& pending : pending_) {
    if (!pending.used) continue;
    const bool unknown = !ChangesNothing(pending.kind);
    End(pending, unknown ? SetOutcome::kUnknown : SetOutcome::kUnavailable, {});
  }
  for (Waiter* waiter : waiters_) waiter->wake.notify_one();
}

void Exchange::Close() {
  const base::MutexLock lock(mutex_);
  Die();
}

}  // namespace clustix::client
