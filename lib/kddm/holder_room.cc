// SPDX-License-Identifier: Apache-2.0
//
// Room in a holder's store: what it may drop, and what it asks homes to do without.
#include <algorithm>
#include <utility>

#include "lib/kddm/holder.h"
#include "lib/kddm/limits.h"

namespace clustix::kddm {

// The home goes on listing this node as a sharer; no message is worth telling it. After a view
// change a home may still be about to fetch a value from whoever has it, so nothing is dropped
// before all have settled. The hand goes round as in a clock (Corbato 1968).
bool Holder::MakeRoom(size_t bytes, Slot but) {
  auto enough = [&] { return store_.Room() >= bytes; };
  if (!context_.all_settled) return enough();
  for (size_t left = 2 * copies_.slots(); left > 0 && clean_ > 0 && !enough(); --left) {
    hand_ = static_cast<Slot>((hand_ + 1) % copies_.slots());
    if (!copies_.in_use(hand_) || hand_ == but) continue;
    Copy& copy = copies_.at(hand_);
    if (!copy.clean || copy.active) continue;
    if (std::exchange(copy.recent, false)) continue;
    DropValue(copy);
    ForgetIfIdle(hand_);
  }
  return enough();
}

void Holder::SetSpare(const ObjectKey& key, bool spare) {
  const Slot slot = copies_.FindSlot(key);
  if (slot == ObjectTable<Copy>::kNone) return;
  Copy& copy = copies_.at(slot);
  if (copy.content != Content::kData) return;
  SetClean(copy, spare);
  if (spare) MakeRoom(1);  // there may be more than fits
}

void Holder::Yield(size_t bytes) {
  if (!context_.all_settled) return;
  size_t room = store_.Room();
  const size_t scan = std::min(copies_.slots(), kYieldScan);
  for (size_t left = scan; left > 0 && room < bytes && yielding_ < kYieldsMax; --left) {
    yield_hand_ = static_cast<Slot>((yield_hand_ + 1) % copies_.slots());
    if (!copies_.in_use(yield_hand_)) continue;
    const Copy& copy = copies_.at(yield_hand_);
    // What is demoted will be dropped soon, or counts again.
    if (copy.active || copy.clean || copy.content != Content::kData || copy.grantee != kNoNode) {
      continue;
    }
    room += std::min(store_.Find(copy.key)->size(), bytes);
    YieldCopy(yield_hand_);
  }
}

// Whoever has an object exclusively gives that right up at once: from here on it only reads it.
// What it may be asked to give up meanwhile, the home has with this message.
void Holder::YieldCopy(Slot slot) {
  Copy& copy = copies_.at(slot);
  Activity& activity = ActivityOf(slot);
  if (copy.state == State::kExclusive) SetState(copy, State::kShared);
  activity.pending = {.id = next_request_++,
                      .kind = Kind::kYield,
                      .op = 0,
                      .blind = false,
                      .version = copy.version,
                      .data = nullptr};
  ++yielding_;
  SendRequest(copy, activity.pending);
}

void Holder::FinishYield(Copy& copy, const Pending& pending, const Message& message) {
  --yielding_;
  // Nobody counts on the copy any more, unless the home has said something else since.
  const bool same = copy.state == State::kShared && copy.version == pending.version;
  const bool away = context_.homes.HomeOf(copy.key) != context_.self;
  if (same && away && message.stamp > copy.stamp && message.status == Status::kOk) {
    SetClean(copy, true);
  }
  copy.stamp = std::max(copy.stamp, message.stamp);
}

}  // namespace clustix::kddm
