// SPDX-License-Identifier: Apache-2.0
//
// What homes demand of a holder: invalidations, recalls, backups; and view changes.
#include <algorithm>
#include <cassert>

#include "lib/kddm/holder.h"

namespace clustix::kddm {

void Holder::OnInv(NodeId from, const Message& message) {
  const Slot slot = copies_.FindSlot(message.key);
  Message ack{.kind = Kind::kInvAck, .key = message.key, .stamp = message.stamp};
  // Nothing here, or something newer than what the home means.
  if (slot == ObjectTable<Copy>::kNone || message.stamp < copies_.at(slot).stamp) {
    return context_.Send(from, std::move(ack));
  }
  ActivityOf(slot).demand = {.kind = Demand::Kind::kInv,
                             .mode = message.mode,
                             .told = false,
                             .peer = message.peer,
                             .from = from,
                             .request = 0,
                             .stamp = message.stamp};
  Pump(slot);
}

void Holder::OnRecall(NodeId from, const Message& message) {
  // An exclusive copy is given up only by a message that the home takes for an answer.
  const Slot slot = copies_.Insert(message.key);
  if (message.stamp < copies_.at(slot).stamp) return;
  ActivityOf(slot).demand = {.kind = Demand::Kind::kRecall,
                             .mode = message.mode,
                             .told = false,
                             .peer = message.peer,
                             .from = from,
                             .request = message.request,
                             .stamp = message.stamp};
  Pump(slot);
}

bool Holder::CanHonour(const Copy& copy, const Activity& activity) const {
  const Demand& demand = activity.demand;
  if (demand.kind == Demand::Kind::kInv) {
    return !demand.told && activity.readers.empty() && activity.writer == 0;
  }
  const bool granted_soon = activity.pending.id != 0 && activity.pending.kind == Kind::kWrite;
  if (copy.state != State::kExclusive) {
    // A home that asks who was given the object means what happened before the request under way.
    const bool given_away =
        IsVolatile(copy.key.set) && demand.mode == static_cast<uint8_t>(RecallMode::kReturn);
    return !granted_soon || given_away;
  }
  if (IsPutting(activity)) return true;
  if (activity.writer != 0) return false;
  return demand.mode == static_cast<uint8_t>(RecallMode::kShare) || activity.readers.empty();
}

// An invalidation that meets a request under way is answered at once, or the home would wait for a
// node that waits for the home. But the home may have granted that request before it demanded this,
// and the grant may still be on its way: the answer names the request, the home knows whether it is
// still queued, and if it is not, it waits for a second answer, which follows the grant.
void Holder::HonourInv(Copy& copy, Activity& activity) {
  Demand& demand = activity.demand;
  if (!IsPutting(activity)) {
    const InvMode mode = static_cast<InvMode>(demand.mode);
    if (mode == InvMode::kDrop) {
      DropValue(copy);
    } else {
      copy.grantee = mode == InvMode::kDemote ? demand.peer : kNoNode;
      SetState(copy, State::kInvalid);
      SetClean(copy, false);
    }
    copy.stamp = demand.stamp;
  }
  Message ack{.kind = Kind::kInvAck, .key = copy.key, .stamp = demand.stamp};
  ack.request = activity.pending.id;
  context_.Send(demand.from, std::move(ack));
  if (activity.pending.id != 0) {
    demand.told = true;
  } else {
    demand = {};
  }
}

void Holder::HonourRecall(Copy& copy, Activity& activity) {
  const Demand demand = activity.demand;
  activity.demand = {};
  Message ack{.kind = Kind::kRecallAck, .key = copy.key, .stamp = demand.stamp};
  const RecallMode mode = static_cast<RecallMode>(demand.mode);
  if (IsPutting(activity)) return;  // the put answers
  if (copy.state != State::kExclusive) {
    // What gave the copy up is on its way and serves the home as an answer. But a grant to a node
    // that has died meanwhile was given up to nobody.
    const bool asked = mode == RecallMode::kReturn && IsVolatile(copy.key.set);
    if (!asked || IsYielding(activity)) return;
    ack.content = Content::kLost;
    DropValue(copy);
    return context_.Send(demand.from, std::move(ack));
  }
  ack.content = copy.content;
  ack.version = copy.version;
  const bool direct = IsVolatile(copy.key.set) && copy.content == Content::kData;
  if (direct && mode == RecallMode::kReturn) ack.data = store_.Find(copy.key);
  if (direct && (mode == RecallMode::kShare || mode == RecallMode::kTransfer)) {
    return ShareWithPeer(copy, demand);
  }
  if (mode == RecallMode::kShare && copy.content == Content::kData) {
    SetState(copy, State::kShared);
    copy.stamp = demand.stamp;
  } else {
    DropValue(copy);
  }
  context_.Send(demand.from, std::move(ack));
}

// The way of three hops: the holder itself answers who asked the home.
void Holder::ShareWithPeer(Copy& copy, const Demand& demand) {
  const bool share = demand.mode == static_cast<uint8_t>(RecallMode::kShare);
  Message grant{.kind = Kind::kReply, .key = copy.key, .request = demand.request};
  grant.stamp = demand.stamp;
  grant.version = copy.version;
  grant.right = share ? Right::kShared : Right::kExclusive;
  grant.data = store_.Find(copy.key);
  const Data data = grant.data;
  copy.stamp = demand.stamp;
  context_.Send(demand.peer, std::move(grant));
  if (!share) {
    copy.grantee = demand.peer;
    SetState(copy, State::kInvalid);
    return;  // the peer tells the home
  }
  SetState(copy, State::kShared);
  Message ack{.kind = Kind::kRecallAck, .key = copy.key, .stamp = demand.stamp};
  ack.version = copy.version;
  ack.data = data;
  context_.Send(demand.from, std::move(ack));
}

void Holder::OnBackup(NodeId from, const Message& message) {
  const Slot slot = copies_.Insert(message.key);
  Copy& copy = copies_.at(slot);
  Message ack{.kind = Kind::kBackupAck, .key = message.key, .stamp = message.stamp};
  const bool have = copy.content == message.content && copy.version == message.version;
  const Data old = store_.Find(message.key);
  const size_t old_bytes = old == nullptr ? 0 : old->size();
  const size_t bytes = message.data == nullptr ? 0 : message.data->size();
  ack.got = have || bytes <= old_bytes || MakeRoom(bytes - old_bytes, slot);
  if (ack.got) {
    if (!have) {
      DropValue(copy);
      if (message.data != nullptr) store_.Keep(message.key, message.version, message.data);
      copy.version = message.version;
      copy.content = message.content;
      SetState(copy, State::kInvalid);
    }
    SetClean(copy, false);
    copy.grantee = message.peer;
    copy.stamp = message.stamp;
  }
  context_.Send(from, std::move(ack));
  ForgetIfIdle(slot);
}

void Holder::OnPull(NodeId from, const Message& message) {
  Message pulled{.kind = Kind::kPulled, .key = message.key, .stamp = message.stamp};
  pulled.version = message.version;
  pulled.data = Peek(message.key, message.version);
  if (const Copy* copy = copies_.Find(message.key); copy != nullptr && copy->active) {
    // The commit of that version may have begun elsewhere, and this may be the last copy of it.
    const Activity& activity = *activities_.at(copies_.FindSlot(message.key));
    if (IsPutting(activity) && activity.pending.version == message.version) {
      pulled.data = activity.pending.data;
    }
  }
  context_.Send(from, std::move(pulled));
}

void Holder::OnQuery(NodeId from, const Message& message) {
  const Slot slot = copies_.FindSlot(message.key);
  const Activity* activity = slot == ObjectTable<Copy>::kNone ? nullptr : FindActivity(slot);
  Message unblock{.kind = Kind::kUnblock, .key = message.key, .request = message.request};
  unblock.got = activity == nullptr || activity->pending.id != message.request;
  if (slot != ObjectTable<Copy>::kNone) unblock.version = copies_.at(slot).version;
  context_.Send(from, std::move(unblock));
}

void Holder::OnHomesChanged(const std::function<bool(const ObjectKey&)>& changed,
                            const std::function<void(const ReportEntry&)>& report) {
  // No id of an earlier life of this node comes again: answers to that life may still be about.
  next_request_ = std::max(next_request_, static_cast<RequestId>(context_.homes.epoch()) << 32);
  copies_.Walk([&](Slot slot) {
    Copy& copy = copies_.at(slot);
    if (!changed(copy.key)) return;
    Activity* activity = FindActivity(slot);
    if (activity != nullptr && IsYielding(*activity)) {  // it may try again when all is settled
      activity->pending = {};
      --yielding_;
    }
    // What the home before could do without, the next one may count on.
    if (copy.state == State::kInvalid) SetClean(copy, false);
    const bool putting = activity != nullptr && IsPutting(*activity);
    ReportEntry entry{.key = copy.key, .version = copy.version};
    entry.content = copy.content;
    entry.grantee = copy.grantee;
    entry.demoted = copy.stamp;
    // Only who was there when the copy was demoted can tell the grantee from one that came later.
    const Epoch came = context_.homes.MemberSince(copy.grantee);
    entry.grantee_lives = came != 0 && came <= copy.stamp >> kStampEpochShift;
    entry.removing = putting && activity->pending.data == nullptr;
    if (copy.state == State::kInvalid && copy.content == Content::kLost) {
      entry.role = Role::kLostMark;
    } else if (copy.state == State::kExclusive) {
      entry.role = putting ? Role::kPutting : Role::kExclusive;
    } else if (copy.state == State::kShared) {
      entry.role = Role::kShared;
    } else {
      entry.role = copy.grantee != kNoNode ? Role::kDemoted : Role::kBackup;
    }
    if (copy.state != State::kInvalid || copy.content != Content::kAbsent) report(entry);
    if (activity == nullptr) return;
    activity->demand = {};
    if (activity->pending.id != 0) SendRequest(copy, activity->pending);
    Pump(slot);
  });
}

}  // namespace clustix::kddm
