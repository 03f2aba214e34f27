// SPDX-License-Identifier: Apache-2.0
//
// Operations and what homes answer. What homes demand stands in holder_demand.cc.
#include "lib/kddm/holder.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "lib/kddm/limits.h"

namespace clustix::kddm {
namespace {

bool IsRead(OpKind kind) { return kind == OpKind::kGet; }

// It does not matter what was there before, not even that it is lost.
bool IsBlind(OpKind kind) { return kind == OpKind::kSet || kind == OpKind::kRemove; }

bool SizeIsValid(const Data& data) {
  return data != nullptr && !data->empty() && data->size() <= kObjectBytesMax;
}

}  // namespace

Activity& Holder::ActivityOf(Slot slot) {
  std::unique_ptr<Activity>& activity = activities_[slot];
  if (activity == nullptr) {
    activity = std::make_unique<Activity>();
    copies_.at(slot).active = true;
  }
  return *activity;
}

Activity* Holder::FindActivity(Slot slot) {
  return copies_.at(slot).active ? activities_.at(slot).get() : nullptr;
}

void Holder::Start(Operation operation) {
  const bool writes = operation.kind == OpKind::kSet || operation.kind == OpKind::kTouch;
  if (writes && !SizeIsValid(operation.data)) return Complete(operation.id, Status::kBadRequest);
  if (operation.kind == OpKind::kFind) {
    const Slot slot = copies_.FindSlot(operation.key);
    if (slot == ObjectTable<Copy>::kNone) return Complete(operation.id, Status::kNotFound);
    const Activity* activity = FindActivity(slot);
    Copy& copy = copies_.at(slot);
    // While a put is under way, the value here is not the committed one any more, or not yet.
    const bool readable =
        copy.state != State::kInvalid && copy.content == Content::kData &&
        (activity == nullptr || (activity->writer == 0 && activity->pending.kind != Kind::kPut));
    if (!readable) return Complete(operation.id, Status::kNotFound);
    return CompleteWithValue(operation.id, copy);
  }
  const Slot slot = copies_.Insert(operation.key);
  ops_[operation.id] = operation.key;
  ActivityOf(slot).waiting.push_back(std::move(operation));
  Pump(slot);
}

void Holder::Put(OpId op, OpId hold, Data data) {
  const auto held = ops_.find(hold);
  if (held == ops_.end()) return Complete(op, Status::kRevoked);
  const Slot slot = copies_.FindSlot(held->second);
  Activity& activity = ActivityOf(slot);
  if (activity.writer != hold || !SizeIsValid(data)) return Complete(op, Status::kBadRequest);
  ops_.erase(held);
  EndHold(activity, hold);
  Commit(copies_.at(slot), activity, op, data);
  Pump(slot);
}

void Holder::Release(OpId hold) {
  const auto held = ops_.find(hold);
  if (held == ops_.end()) return;
  const Slot slot = copies_.FindSlot(held->second);
  Activity& activity = ActivityOf(slot);
  const bool wrote = activity.writer == hold;
  if (!EndHold(activity, hold)) return;  // it still waits: that is for Cancel()
  ops_.erase(held);
  // An object that was not made after all: nobody is to remember it.
  Copy& copy = copies_.at(slot);
  if (wrote && copy.content == Content::kAbsent) Commit(copy, activity, 0, nullptr);
  Pump(slot);
}

// False: it is none. The timer goes with the last one, or the next to hold would inherit it.
bool Holder::EndHold(Activity& activity, OpId hold) {
  if (activity.writer == hold) {
    activity.writer = 0;
  } else if (std::erase(activity.readers, hold) == 0) {
    return false;
  }
  if (activity.writer == 0 && activity.readers.empty()) activity.timer_token = 0;
  return true;
}

void Holder::Cancel(OpId op) {
  const auto found = ops_.find(op);
  if (found == ops_.end()) return;
  const Slot slot = copies_.FindSlot(found->second);
  Activity& activity = ActivityOf(slot);
  if (activity.pending.op == op && activity.pending.kind == Kind::kPut) {
    activity.pending.op = 0;
    return Complete(op, Status::kUnknown);
  }
  const size_t erased = std::erase_if(
      activity.waiting, [op](const Operation& operation) { return operation.id == op; });
  if (erased == 0) return;  // it holds: that is for Release()
  if (activity.pending.op == op) activity.pending.op = 0;
  Complete(op, Status::kCancelled);
  Pump(slot);
}

void Holder::ExpireHolds(const ObjectKey& key, uint64_t token) {
  const Slot slot = copies_.FindSlot(key);
  if (slot == ObjectTable<Copy>::kNone) return;
  Activity* activity = FindActivity(slot);
  if (activity == nullptr || activity->timer_token != token) return;
  if (activity->writer != 0) activity->readers.push_back(activity->writer);
  activity->writer = 0;
  for (const OpId hold : activity->readers) {
    ops_.erase(hold);
    context_.out.revoked.push_back(hold);
  }
  activity->readers.clear();
  activity->timer_token = 0;
  Pump(slot);
}

void Holder::CutOff() {
  copies_.Walk([this](Slot slot) {
    Activity* activity = FindActivity(slot);
    if (activity == nullptr) return;
    const OpId sent = activity->pending.op;
    if (sent != 0 && IsPutting(*activity)) Complete(sent, Status::kUnknown);
    for (const Operation& operation : activity->waiting) {
      Complete(operation.id, Status::kUnavailable);
    }
    activity->waiting.clear();
  });
}

// The order of preference: what the home wants back goes first, unless a grant has not been used
// yet; with a demand pending a grant is good for one access, so that neither side starves.
void Holder::Pump(Slot slot) {
  Activity* activity = FindActivity(slot);
  if (activity == nullptr) return ForgetIfIdle(slot);
  Copy& copy = copies_.at(slot);
  for (;;) {
    const bool demanded = activity->demand.kind != Demand::Kind::kNone;
    if (demanded && !activity->tenure && CanHonour(copy, *activity)) {
      activity->demand.kind == Demand::Kind::kInv ? HonourInv(copy, *activity)
                                                  : HonourRecall(copy, *activity);
      if (activity->demand.told) break;
      continue;
    }
    if (!activity->waiting.empty() && (!demanded || activity->tenure) &&
        CanStart(copy, *activity, activity->waiting.front())) {
      activity->tenure = false;
      StartFront(copy, *activity);
      continue;
    }
    if (!activity->tenure) break;
    activity->tenure = false;
  }
  RequestForFront(copy, *activity);
  ArmHoldTimer(copy, *activity);
  ForgetIfIdle(slot);
}

bool Holder::CanStart(const Copy& copy, const Activity& activity,
                      const Operation& operation) const {
  if (activity.writer != 0 || IsPutting(activity)) return false;
  if (operation.kind == OpKind::kSync) return !IsLinked(copy.key.set);  // nothing to be done
  if (IsRead(operation.kind)) return copy.state != State::kInvalid;
  if (!activity.readers.empty()) return false;
  // A touch that finds a value is but a read.
  if (operation.kind == OpKind::kTouch && copy.state == State::kShared) return true;
  return copy.state == State::kExclusive;
}

void Holder::StartFront(Copy& copy, Activity& activity) {
  const Operation operation = std::move(activity.waiting.front());
  activity.waiting.pop_front();
  if (operation.kind == OpKind::kSync) return Complete(operation.id, Status::kOk);
  if (copy.content == Content::kLost && !IsBlind(operation.kind)) {
    return Complete(operation.id, Status::kLost);
  }
  switch (operation.kind) {
    case OpKind::kGet:
      if (copy.content == Content::kAbsent) return Complete(operation.id, Status::kNotFound);
      if (operation.hold) activity.readers.push_back(operation.id);
      return CompleteWithValue(operation.id, copy);
    case OpKind::kGrab:
      activity.writer = operation.id;
      return CompleteWithValue(operation.id, copy);
    case OpKind::kTouch:
      if (copy.content == Content::kData) return CompleteWithValue(operation.id, copy);
      return Commit(copy, activity, operation.id, operation.data);
    case OpKind::kSet:
      return Commit(copy, activity, operation.id, operation.data);
    case OpKind::kRemove:
      return Commit(copy, activity, operation.id, nullptr);
    case OpKind::kFind:
    case OpKind::kSync:
      break;
  }
  assert(false && "starts without a right");
}

// A new value of an object that is exclusive here, or none (nullptr). A volatile object has its
// value at once; any other when its home has it too, and all learn from their home that there is
// none.
void Holder::Commit(Copy& copy, Activity& activity, OpId op, const Data& data) {
  const Data old = store_.Find(copy.key);
  const size_t old_bytes = old == nullptr ? 0 : old->size();
  const size_t bytes = data == nullptr ? 0 : data->size();
  if (bytes > old_bytes && !MakeRoom(bytes - old_bytes)) {
    Yield(bytes - old_bytes);
    return Complete(op, Status::kNoSpace);
  }
  if (IsVolatile(copy.key.set) && data != nullptr) {
    ++copy.version;
    copy.content = Content::kData;
    store_.Keep(copy.key, copy.version, data);
    store_.SetReadable(copy.key, true);  // it may be the first value
    context_.NoteChange(copy.key, copy.version, false);
    return CompleteWithValue(op, copy);
  }
  if (op != 0) ops_[op] = copy.key;
  activity.pending = {.id = next_request_++,
                      .kind = Kind::kPut,
                      .op = op,
                      .blind = false,
                      .version = copy.version + 1,
                      .data = data};
  store_.SetReadable(copy.key, false);
  SendRequest(copy, activity.pending);
}

// Asks the home for what the operation at the front lacks, unless something is under way.
void Holder::RequestForFront(Copy& copy, Activity& activity) {
  if (activity.waiting.empty() || activity.pending.id != 0) return;
  if (activity.demand.kind != Demand::Kind::kNone || activity.writer != 0) return;
  const Operation& front = activity.waiting.front();
  Kind kind = Kind::kWrite;
  if (IsRead(front.kind)) {
    kind = Kind::kRead;
  } else if (front.kind == OpKind::kSync) {
    kind = Kind::kSync;
  } else if (copy.state == State::kExclusive) {
    return;  // readers here are in the way
  }
  if (!activity.readers.empty()) return;
  activity.pending = {.id = next_request_++,
                      .kind = kind,
                      .op = front.id,
                      .blind = IsBlind(front.kind),
                      .version = 0,
                      .data = nullptr};
  SendRequest(copy, activity.pending);
}

// Somebody waits for holds here to end: bound how long.
void Holder::ArmHoldTimer(const Copy& copy, Activity& activity) {
  const bool held = activity.writer != 0 || !activity.readers.empty();
  if (!held) activity.timer_token = 0;
  if (!held || !activity.awaited() || activity.timer_token != 0) return;
  activity.timer_token = next_token_++;
  context_.out.hold_timers.push_back({.key = copy.key, .token = activity.timer_token});
}

void Holder::SendRequest(const Copy& copy, Pending& pending) {
  Message message{.kind = pending.kind, .key = copy.key, .request = pending.id};
  message.blind = pending.blind;
  message.data = pending.data;
  message.version = pending.version;
  if (pending.kind != Kind::kPut && copy.content == Content::kData) message.version = copy.version;
  context_.Send(context_.homes.HomeOf(copy.key), std::move(message));
}

void Holder::OnReply(NodeId from, const Message& message) {
  const Slot slot = copies_.FindSlot(message.key);
  if (slot == ObjectTable<Copy>::kNone) return;
  Activity* activity = FindActivity(slot);
  if (activity == nullptr || activity->pending.id != message.request) return;
  Copy& copy = copies_.at(slot);
  const Pending pending = std::move(activity->pending);
  activity->pending = {};
  // A demand that is older than this answer was about what was here before.
  if (activity->demand.stamp < message.stamp) activity->demand = {};
  activity->demand.told = false;
  FinishRequest(copy, *activity, pending, message);
  // The home waits for what another node granted, or what it must keep until it has arrived.
  const bool lent = from != context_.homes.HomeOf(copy.key);
  const bool moved = pending.kind == Kind::kWrite && message.right == Right::kExclusive &&
                     IsVolatile(copy.key.set);
  if (lent || moved) {
    Message unblock{.kind = Kind::kUnblock, .key = copy.key, .request = pending.id};
    unblock.got = true;
    unblock.version = message.version;
    context_.Send(context_.homes.HomeOf(copy.key), std::move(unblock));
  }
  Pump(slot);
  if (pending.kind == Kind::kYield) MakeRoom(1);  // there may be more than fits
}

void Holder::FinishRequest(Copy& copy, Activity& activity, const Pending& pending,
                           const Message& message) {
  if (pending.kind == Kind::kYield) return FinishYield(copy, pending, message);
  if (pending.kind == Kind::kPut) {
    if (message.right == Right::kShared) {
      copy.version = pending.version;
      copy.content = Content::kData;
      copy.grantee = kNoNode;
      store_.Keep(copy.key, copy.version, pending.data);
      SetState(copy, State::kShared);
      activity.tenure = true;
    } else if (message.right == Right::kNone && message.stamp > copy.stamp) {
      DropValue(copy);  // but not what the home has sent since, to be kept
    }
    copy.stamp = std::max(copy.stamp, message.stamp);
    if (pending.op == 0) return;
    if (message.status != Status::kOk) return Complete(pending.op, message.status);
    ops_.erase(pending.op);
    context_.out.completions.push_back(
        {.op = pending.op,
         .status = Status::kOk,
         .content = pending.data == nullptr ? Content::kAbsent : Content::kData,
         .version = pending.version,
         .data = pending.data});
    return;
  }
  if (message.right != Right::kNone) {
    TakeGrant(copy, message);
    activity.tenure = true;
    return;
  }
  const auto waits = std::find_if(activity.waiting.begin(), activity.waiting.end(),
                                  [&](const Operation& o) { return o.id == pending.op; });
  if (pending.op == 0 || waits == activity.waiting.end()) return;
  activity.waiting.erase(waits);
  Complete(pending.op, message.status);
}

void Holder::TakeGrant(Copy& copy, const Message& message) {
  // What was here before may be counted on as a backup, and what a home holds always is.
  const bool fresh = copy.content == Content::kAbsent && message.data != nullptr;
  const bool away = context_.homes.HomeOf(copy.key) != context_.self;
  const bool clean = message.right == Right::kShared && ((fresh && away) || copy.clean);
  if (message.data != nullptr) {
    store_.Keep(copy.key, message.version, message.data);
  } else if (message.content != Content::kData) {
    store_.Drop(copy.key);
  }
  copy.version = message.version;
  copy.content = message.content;
  copy.stamp = std::max(copy.stamp, message.stamp);
  copy.grantee = kNoNode;
  SetClean(copy, clean);
  SetState(copy, message.right == Right::kShared ? State::kShared : State::kExclusive);
  // What was asked for is kept even if it does not fit.
  if (!MakeRoom(1, copies_.FindSlot(copy.key))) Yield(1);
}

void Holder::CompleteWithValue(OpId op, Copy& copy) {
  copy.recent = true;
  const auto known = ops_.find(op);
  if (known != ops_.end()) {
    const Slot slot = copies_.FindSlot(copy.key);
    const Activity* activity = FindActivity(slot);
    const bool holds = activity->writer == op ||
                       std::find(activity->readers.begin(), activity->readers.end(), op) !=
                           activity->readers.end();
    if (!holds) ops_.erase(known);
  }
  context_.out.completions.push_back({.op = op,
                                      .status = Status::kOk,
                                      .content = copy.content,
                                      .version = copy.version,
                                      .data = store_.Find(copy.key)});
}

void Holder::Complete(OpId op, Status status) {
  ops_.erase(op);
  context_.out.completions.push_back({.op = op, .status = status});
}

Data Holder::Peek(const ObjectKey& key, Version version) const {
  const Copy* copy = copies_.Find(key);
  if (copy == nullptr || copy->content != Content::kData || copy->version != version)
    return nullptr;
  return store_.Find(key);
}

bool Holder::IsAwaited(const ObjectKey& key) const {
  const Slot slot = copies_.FindSlot(key);
  if (slot == ObjectTable<Copy>::kNone || !copies_.at(slot).active) return false;
  const Activity& activity = *activities_.at(slot);
  return activity.awaited() || activity.timer_token != 0;
}

State Holder::Access(const ObjectKey& key) const {
  const Slot slot = copies_.FindSlot(key);
  if (slot == ObjectTable<Copy>::kNone) return State::kInvalid;
  const Copy& copy = copies_.at(slot);
  const bool putting = copy.active && IsPutting(*activities_.at(slot));
  return putting ? State::kInvalid : copy.state;
}

void Holder::KeepForHome(const ObjectKey& key, Version version, const Data& data) {
  const Slot slot = copies_.Insert(key);
  Copy& copy = copies_.at(slot);
  copy.version = version;
  copy.content = Content::kData;
  copy.grantee = kNoNode;
  SetClean(copy, false);
  // An exclusive copy that is being put: the commit turned out to have happened already.
  if (copy.state == State::kExclusive) copy.state = State::kInvalid;
  store_.Keep(key, version, data);
}

void Holder::DropValue(Copy& copy) {
  if (copy.content == Content::kData) store_.Drop(copy.key);
  copy.content = Content::kAbsent;
  copy.grantee = kNoNode;
  copy.state = State::kInvalid;
  SetClean(copy, false);
}

void Holder::SetClean(Copy& copy, bool clean) {
  if (copy.clean != clean) clean ? ++clean_ : --clean_;
  copy.clean = clean;
}

void Holder::SetState(Copy& copy, State state) {
  copy.state = state;
  if (copy.content == Content::kData) store_.SetReadable(copy.key, state != State::kInvalid);
}

void Holder::ForgetIfIdle(Slot slot) {
  Copy& copy = copies_.at(slot);
  if (copy.active) {
    if (!activities_.at(slot)->idle()) return;
    activities_.erase(slot);
    copy.active = false;
  }
  if (copy.state == State::kInvalid && copy.content == Content::kAbsent) copies_.Erase(copy.key);
}

}  // namespace clustix::kddm
