// SPDX-License-Identifier: Apache-2.0
//
// The right to write an object: granted by the daemon, or, if the object is lent to this program,
// taken without asking. Threads as in clustix/sets.h.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "lib/client/guard_access.h"
#include "lib/client/set_session.h"

namespace clustix {

using client::Call;
using client::Patience;
using client::SetRequestKind;

struct WriteGuard::Hold {
  explicit Hold(SetHandle* its_set, ObjectId its_id) : set(its_set), id(its_id) {}

  // Asks for the object. `is_there`: it has a value.
  SetOutcome Ask(const Patience& patience, bool* is_there);
  SetOutcome TryAsk(uint32_t room, const Patience& patience, bool* is_there);
  void End();
  // A lent object is too small for what is to be put: asks the daemon for it instead.
  SetOutcome LeaveLoan();

  SetHandle* const set;
  const ObjectId id;
  cache::Grabbed lent;
  bool is_lent = false;
  uint64_t number = 0;  // the daemon's for the hold, unless it is lent
  std::vector<std::byte> value;
};

// The value comes with the grant if it is not too large, else it is in the cache: this node has the
// object for itself. Should there be no place for it, the grab is made once more, with more room.
SetOutcome WriteGuard::Hold::Ask(const Patience& patience, bool* is_there) {
  for (const uint32_t room : {uint32_t{cache::kStagingUnitBytes}, cache::kObjectBytesMax}) {
    const SetOutcome outcome = TryAsk(room, patience, is_there);
    if (outcome != SetOutcome::kOk || !*is_there || !value.empty()) return outcome;
    End();
  }
  return SetOutcome::kUnavailable;  // no daemon does that
}

SetOutcome WriteGuard::Hold::TryAsk(uint32_t room, const Patience& patience, bool* is_there) {
  client::Exchange& exchange = set->session().exchange();
  Call call{.kind = SetRequestKind::kGrab, .set = set->number(), .object = id};
  const SetOutcome staged = exchange.Stage(call.kind, room, patience, &call.staged);
  if (staged != SetOutcome::kOk) return staged;
  call.staged_bytes = room;
  exchange.Run(call, patience);
  *is_there = call.outcome == SetOutcome::kOk;
  if (call.outcome != SetOutcome::kOk && call.outcome != SetOutcome::kNotFound) return call.outcome;
  number = call.reply.argument;
  if (!*is_there) return SetOutcome::kOk;
  if (const uint32_t bytes = call.reply.staged_bytes; bytes > 0) {
    value.assign(call.staged.data(), call.staged.data() + bytes);
  } else if (ReadGuard cached; set->Pin(id, &cached)) {
    value.assign(cached.data().begin(), cached.data().end());
  }
  return SetOutcome::kOk;
}

void WriteGuard::Hold::End() {
  if (!is_lent) set->session().exchange().Release(set->number(), id, number);
}

// Between the two holds another one may have written. If the value is the same, nobody can tell:
// then this hold may as well have begun with the second.
SetOutcome WriteGuard::Hold::LeaveLoan() {
  const std::span<const std::byte> was =
      lent.before().first(std::min<size_t>(lent.before().size(), cache::kLoanBytesMax));
  const std::vector<std::byte> before(was.begin(), was.end());
  std::vector<std::byte> changed(lent.buffer().begin(), lent.buffer().end());
  lent.Abort();
  is_lent = false;
  bool is_there = false;
  const SetOutcome outcome = Ask(Patience(Wait()), &is_there);
  if (outcome != SetOutcome::kOk) return outcome;
  if (!is_there || value != before) {
    End();
    return SetOutcome::kRevoked;
  }
  value = std::move(changed);
  return SetOutcome::kOk;
}

WriteGuard::WriteGuard() = default;

WriteGuard::WriteGuard(WriteGuard&& other) noexcept { *this = std::move(other); }

WriteGuard& WriteGuard::operator=(WriteGuard&& other) noexcept {
  if (this == &other) return *this;
  Abort();
  hold_ = std::move(other.hold_);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  exists_ = other.exists_;
  outcome_ = std::exchange(other.outcome_, SetOutcome::kInvalid);
  return *this;
}

WriteGuard::~WriteGuard() { Abort(); }

WriteGuard GuardAccess::Grab(const std::shared_ptr<SetHandle>& set, ObjectId id, const Wait& wait) {
  if (!set->may_write()) return FailedGrab(SetOutcome::kDenied);
  WriteGuard guard;
  auto hold = std::make_unique<WriteGuard::Hold>(set.get(), id);
  if (set->session().loans().Grab(set->number(), id, &hold->lent) == cache::GrabResult::kGrabbed) {
    hold->is_lent = true;
    guard.exists_ = true;
    guard.data_ = hold->lent.buffer().data();
    guard.bytes_ = std::min(hold->lent.bytes(), cache::kLoanBytesMax);
  } else {
    const SetOutcome outcome = hold->Ask(Patience(wait), &guard.exists_);
    if (outcome != SetOutcome::kOk) return FailedGrab(outcome);
    guard.data_ = hold->value.data();
    guard.bytes_ = hold->value.size();
  }
  guard.hold_ = std::move(hold);
  guard.outcome_ = SetOutcome::kOk;
  return guard;
}

SetOutcome WriteGuard::Resize(size_t bytes) {
  if (hold_ == nullptr) return outcome_ == SetOutcome::kOk ? SetOutcome::kInvalid : outcome_;
  if (bytes > kObjectBytesMax) return SetOutcome::kTooLarge;
  if (hold_->is_lent && bytes <= cache::kLoanBytesMax) {
    if (bytes > bytes_) std::memset(data_ + bytes_, 0, bytes - bytes_);
    bytes_ = bytes;
    return SetOutcome::kOk;
  }
  if (hold_->is_lent) {
    const SetOutcome outcome = hold_->LeaveLoan();
    if (outcome != SetOutcome::kOk) {
      hold_ = nullptr;
      data_ = nullptr;
      bytes_ = 0;
      return outcome_ = outcome;
    }
    hold_->value.resize(bytes_);
  }
  hold_->value.resize(bytes);
  data_ = hold_->value.data();
  bytes_ = bytes;
  return SetOutcome::kOk;
}

SetOutcome WriteGuard::Assign(std::span<const std::byte> value) {
  const SetOutcome outcome = Resize(value.size());
  if (outcome == SetOutcome::kOk) std::copy(value.begin(), value.end(), data_);
  return outcome;
}

SetOutcome WriteGuard::Put(const Wait& wait) {
  if (hold_ == nullptr) return outcome_;
  const std::unique_ptr<Hold> hold = std::move(hold_);
  const std::span<const std::byte> value(std::exchange(data_, nullptr), std::exchange(bytes_, 0));
  outcome_ = SetOutcome::kInvalid;
  if (value.empty()) {
    hold->End();
    return SetOutcome::kInvalid;
  }
  if (hold->is_lent) {
    return hold->lent.Put(static_cast<uint32_t>(value.size())) == cache::PutResult::kCommitted
               ? SetOutcome::kOk
               : SetOutcome::kUnknown;
  }
  const Call call =
      hold->set->Run(SetRequestKind::kPut, hold->id, value, hold->number, 0, Patience(wait));
  if (!call.asked) hold->End();
  return call.outcome;
}

void WriteGuard::Abort() {
  if (hold_ != nullptr && !hold_->set->session().exchange().IsOfThisProcess()) {
    // Its end would be that of the parent's: what is lent stands in memory that both have.
    static_cast<void>(hold_.release());
  }
  if (hold_ != nullptr) hold_->End();
  hold_ = nullptr;
  data_ = nullptr;
  bytes_ = 0;
  outcome_ = SetOutcome::kInvalid;
}

}  // namespace clustix
