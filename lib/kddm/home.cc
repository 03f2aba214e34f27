// SPDX-License-Identifier: Apache-2.0
//
// The queue of an object, reads and writes. Commits, removals and backups stand in home_commit.cc,
// view changes in home_view.cc.
#include "lib/kddm/home.h"

#include <algorithm>
#include <cassert>

#include "lib/kddm/limits.h"

namespace clustix::kddm {

Stamp Home::NextStamp() {
  last_stamp_ =
      std::max(last_stamp_ + 1, static_cast<Stamp>(context_.homes.epoch()) << kStampEpochShift);
  return last_stamp_;
}

Home::Slot Home::EntryOf(const ObjectKey& key) {
  const Slot found = directory_.table().FindSlot(key);
  if (found != ObjectTable<DirEntry>::kNone) return found;
  const Slot slot = directory_.table().Insert(key);
  DirEntry& entry = directory_.table().at(slot);
  // Versions of an object that is made again are above those that it had.
  entry.version = NextStamp();
  const DoubtMask doubt = doubts_[context_.homes.BucketOf(key)];
  const bool may_be_lost = (doubt >> (CopiesOf(key.set) - 1) & 1) != 0;
  entry.content = may_be_lost && !IsLinked(key.set) ? Content::kLost : Content::kAbsent;
  return slot;
}

Home::Transaction& Home::TransactionOf(Slot slot) {
  std::unique_ptr<Transaction>& transaction = transactions_[slot];
  if (transaction == nullptr) {
    transaction = std::make_unique<Transaction>();
    directory_.table().at(slot).busy = true;
    ++busy_;
    holder_.SetSpare(directory_.table().at(slot).key, false);
  }
  return *transaction;
}

Home::Transaction* Home::FindTransaction(Slot slot) {
  return directory_.table().at(slot).busy ? transactions_.at(slot).get() : nullptr;
}

void Home::OnMessage(NodeId from, const Message& message) {
  if (Gain* gain = GainOf(message.key)) {
    gain->early.emplace_back(from, message);
    return;
  }
  switch (message.kind) {
    case Kind::kRead:
    case Kind::kWrite:
    case Kind::kPut:
    case Kind::kSync:
    case Kind::kYield:
      return OnRequest(from, message);
    default:
      break;
  }
  const Slot slot = directory_.table().FindSlot(message.key);
  if (slot == ObjectTable<DirEntry>::kNone) return;
  switch (message.kind) {
    case Kind::kInvAck:
      return OnInvAck(from, message, slot);
    case Kind::kRecallAck:
      return OnRecallAck(from, message, slot);
    case Kind::kBackupAck:
      return OnBackupAck(from, message, slot);
    case Kind::kPulled:
      return OnPulled(from, message, slot);
    case Kind::kUnblock:
      return OnUnblock(from, message, slot);
    default:
      return;
  }
}

void Home::OnRequest(NodeId from, const Message& message) {
  Request request{.from = from, .id = message.request, .blind = message.blind};
  request.version = message.version;
  request.data = message.data;
  const Slot slot = EntryOf(message.key);
  switch (message.kind) {
    case Kind::kRead:
      request.want = Want::kRead;
      break;
    case Kind::kWrite:
      request.want = Want::kWrite;
      break;
    case Kind::kSync:
      request.want = Want::kSync;
      break;
    case Kind::kYield:
      request.want = Want::kYield;
      break;
    default:
      request.want = Want::kPut;
      break;
  }
  // A put gives the exclusive copy back, for which others may be waiting: it never queues up behind
  // them, and it answers a recall. One that is asked again is awaited as well by an invalidation of
  // what its node may have: that node answers only when it knows of its commit.
  const bool gives = GivesBack(slot, request);
  const bool awaited = gives && AwaitsPutOf(slot, from);
  Enqueue(slot, std::move(request), gives);
  if (awaited) return Restart(slot);  // PutFirst() finds it
  Serve(slot);
}

// A put, or the owner's word that it has it exclusively no more.
bool Home::GivesBack(Slot slot, const Request& request) const {
  if (request.want == Want::kPut) return true;
  const DirEntry& entry = directory_.table().at(slot);
  return request.want == Want::kYield && entry.exclusive && entry.owner == request.from;
}

size_t Home::WaitingFor(const ObjectKey& key) const {
  const Slot slot = directory_.table().FindSlot(key);
  const auto found = transactions_.find(slot);
  if (slot == ObjectTable<DirEntry>::kNone || found == transactions_.end()) return 0;
  const Transaction& transaction = *found->second;
  return transaction.queue.size() + (transaction.current.want == Want::kNothing ? 0 : 1);
}

bool Home::AwaitsPutOf(Slot slot, NodeId node) {
  const Transaction* transaction = FindTransaction(slot);
  if (transaction == nullptr) return false;
  const bool owner = directory_.table().at(slot).owner == node;
  switch (transaction->phase) {
    case Phase::kRecall:
    case Phase::kOwnerPut:
      return owner;
    case Phase::kInv:
      return transaction->current.want == Want::kWrite && Contains(transaction->waiting, node);
    default:
      return false;
  }
}

void Home::Enqueue(Slot slot, Request request, bool first) {
  Transaction& transaction = TransactionOf(slot);
  if (first) {
    transaction.queue.push_front(std::move(request));
  } else {
    transaction.queue.push_back(std::move(request));
  }
}

void Home::Begin(Transaction& transaction, Request request) {
  transaction.current = std::move(request);
  transaction.phase = Phase::kStart;
  transaction.invalidated = false;
  transaction.exported = transaction.imported = false;
  transaction.refused = transaction.draining = transaction.away = false;
  transaction.refusals = 0;
  transaction.arrived = false;
  transaction.holding.clear();
  transaction.assured.clear();
  transaction.unable.clear();
}

void Home::Finish(Transaction& transaction) {
  if (transaction.current.want == Want::kRepair) --repairs_;
  Begin(transaction, {});
}

void Home::Restart(Slot slot) {
  Transaction& transaction = TransactionOf(slot);
  transaction.phase = Phase::kStart;
  transaction.waiting.clear();
  Serve(slot);
}

void Home::Wait(Transaction& transaction, Phase phase, std::vector<NodeId> nodes) {
  transaction.phase = phase;
  transaction.waiting = std::move(nodes);
}

// Serves the requests of the object until one has to wait.
void Home::Serve(Slot slot) {
  for (;;) {
    Transaction& transaction = TransactionOf(slot);
    if (transaction.phase != Phase::kStart) return;
    if (transaction.current.want == Want::kNothing) {
      if (transaction.queue.empty()) return Release(slot);
      Request next = std::move(transaction.queue.front());
      transaction.queue.pop_front();
      Begin(transaction, std::move(next));
    }
    Advance(slot);
  }
}

// Nothing goes on with the object any more.
void Home::Release(Slot slot) {
  transactions_.erase(slot);
  --busy_;
  directory_.table().at(slot).busy = false;
  if (IsSpare(slot)) holder_.SetSpare(directory_.table().at(slot).key, true);
  ForgetIfNothing(slot);
}

// An entry that says no more than that there is no such object, and that nobody waits for.
void Home::ForgetIfNothing(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  const bool nothing = entry.content == Content::kAbsent && !entry.exclusive;
  if (!nothing || entry.dropping.size() > 0 || !directory_.Sharers(slot).empty()) return;
  // A removed object is remembered for a while, with its version.
  if (entry.removed) return;
  directory_.Erase(slot);
}

void Home::Advance(Slot slot) {
  Transaction& transaction = TransactionOf(slot);
  const Request& current = transaction.current;
  const bool gone = !context_.homes.IsMember(current.from);
  const bool goes_on = current.want == Want::kPut || current.want == Want::kYield;
  if (gone && !goes_on && current.want != Want::kRepair) {
    if (transaction.invalidated) QueueRepair(slot);  // copies were put aside for a grant
    return Finish(transaction);
  }
  switch (current.want) {
    case Want::kRead:
      return AdvanceRead(slot);
    case Want::kWrite:
      return AdvanceWrite(slot);
    case Want::kPut:
      return AdvancePut(slot);
    case Want::kSync:
      return AdvanceSync(slot);
    case Want::kYield:
      return AdvanceYield(slot);
    case Want::kRepair:
      return AdvanceRepair(slot);
    case Want::kNothing:
      break;
  }
  assert(false && "nothing to advance");
}

void Home::AdvanceRead(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  if (PutFirst(slot)) return;
  if (CallBack(slot, RecallMode::kShare) || Import(slot) || PullValue(slot)) return;
  if (entry.content == Content::kLost) return Answer(slot, Status::kLost);
  if (entry.content == Content::kAbsent) return Answer(slot, Status::kNotFound);
  // The backups still hold the value for a grant that came back unused.
  if (entry.demoted && BackUp(slot, kNoNode, entry.version, nullptr)) return;
  Grant(slot, Right::kShared);
  Finish(TransactionOf(slot));
}

void Home::AdvanceWrite(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  if (PutFirst(slot)) return;
  const bool blind = TransactionOf(slot).current.blind;
  if (CallBack(slot, RecallMode::kTransfer) || Import(slot) || PullValue(slot)) return;
  if (entry.content == Content::kLost && !blind) return Answer(slot, Status::kLost);
  if (IsVolatile(entry.key.set)) LeaveVolatileBackups(slot);
  if (Recommit(slot) || Invalidate(slot)) return;
  Grant(slot, Right::kExclusive);
  Transaction& transaction = TransactionOf(slot);
  if (IsVolatile(entry.key.set)) {
    // The value leaves the home. It is kept until the grant is known to have arrived.
    return Wait(transaction, Phase::kUnblock, {transaction.current.from});
  }
  entry.exclusive = true;
  entry.owner = transaction.current.from;
  entry.in_transit = entry.demoted || !entry.backups.Has(entry.owner);
  entry.backups.Remove(entry.owner);
  Finish(transaction);
}

bool Home::HasValue(const DirEntry& entry) const {
  return holder_.Peek(entry.key, entry.version) != nullptr;
}

// If a put is waiting, the owner's or one that is asked again: serves that before the request at
// hand. A node whose copy was taken for another writer while it waits for the reply to its put
// would be told that it has nothing any more, and drop what it may be a backup of.
bool Home::PutFirst(Slot slot) {
  Transaction& transaction = TransactionOf(slot);
  const auto put = std::find_if(transaction.queue.begin(), transaction.queue.end(),
                                [&](const Request& r) { return GivesBack(slot, r); });
  if (put == transaction.queue.end()) return false;
  Request first = std::move(*put);
  transaction.queue.erase(put);
  transaction.queue.push_front(std::move(transaction.current));
  Begin(transaction, std::move(first));
  return true;
}

// Takes the object back from its exclusive owner, if there is one.
bool Home::CallBack(Slot slot, RecallMode mode) {
  DirEntry& entry = directory_.table().at(slot);
  if (!entry.exclusive) return false;
  Transaction& transaction = TransactionOf(slot);
  // A volatile object passes on without its home. No demoted copy of it may be left that speaks for
  // a grant before the last: should all later owners fail, its grantee would still live.
  if (IsVolatile(entry.key.set) && entry.dropping.size() > 0) {
    Wait(transaction, Phase::kDrops, entry.dropping.list());
    return true;
  }
  // What is not volatile is given back to the home, which has the committed value anyway.
  if (!IsVolatile(entry.key.set) && mode == RecallMode::kTransfer) mode = RecallMode::kShare;
  Message recall{.kind = Kind::kRecall, .key = entry.key, .request = transaction.current.id};
  recall.stamp = transaction.stamp = NextStamp();
  recall.peer = transaction.current.from;
  recall.mode = static_cast<uint8_t>(mode);
  transaction.recall_mode = mode;
  Wait(transaction, Phase::kRecall, {entry.owner});
  context_.Send(entry.owner, std::move(recall));
  return true;
}

// Who has to give the object up for the request at hand, and what they are to do with the value.
std::vector<std::pair<NodeId, InvMode>> Home::InvTargets(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  const Transaction& transaction = TransactionOf(slot);
  const NodeId self = context_.self, writer = transaction.current.from;
  std::vector<std::pair<NodeId, InvMode>> targets;
  auto add = [&targets](NodeId node, InvMode mode) {
    for (const auto& [known, unused] : targets) {
      if (known == node) return;
    }
    targets.emplace_back(node, mode);
  };
  if (transaction.current.want == Want::kRepair) {
    for (const NodeId node : transaction.leftover) {
      // Unless it has been given the current value instead.
      const bool current = entry.backups.Has(node) || (node == self && HasValue(entry));
      if (!current) add(node, InvMode::kDrop);
    }
    for (const NodeId node : entry.dropping.list()) add(node, InvMode::kDrop);
    return targets;
  }
  if (transaction.current.want == Want::kWrite) {
    const std::vector<NodeId> next = Backers(slot, writer, {});
    for (const NodeId node : entry.backups.list()) {
      if (node == writer) continue;
      // The next commit waits for those that will back it up; the others may not hear of it.
      const bool needed = Contains(next, node);
      if (!needed || directory_.HasSharer(slot, node)) {
        add(node, needed ? InvMode::kKeep : InvMode::kDemote);
      }
    }
    if (self != writer && IsVolatile(entry.key.set) && HasValue(entry)) {
      add(self, InvMode::kDemote);
    } else if (self != writer && directory_.HasSharer(slot, self)) {
      add(self, InvMode::kKeep);
    }
  } else {
    // Nothing is to be left of an object that is removed.
    for (const NodeId node : entry.backups.list()) add(node, InvMode::kDrop);
    if (self != writer) add(self, InvMode::kDrop);
  }
  for (const NodeId node : directory_.Sharers(slot)) {
    if (node != writer) add(node, InvMode::kDrop);
  }
  for (const NodeId node : entry.dropping.list()) {
    if (node != writer) add(node, InvMode::kDrop);
  }
  return targets;
}

// A grant that came back unused leaves backups that are demoted for it. Those that the next commit
// needs beside its writer must count again before any other is demoted for that writer: if the home
// fails in between, the latest demotion would speak for all, and its grantee may be the home.
// Where the writer alone is needed, it may be one of them, demoted for a node that is gone, which
// counts for nothing until the grant arrives: after a failure, not even it is left so.
bool Home::Recommit(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  const Transaction& transaction = TransactionOf(slot);
  if (!entry.demoted || transaction.invalidated || IsVolatile(entry.key.set)) return false;
  const bool writer_is_enough = transaction.current.from != context_.self &&
                                BackersWanted(entry.key) <= 1 && !RepairIsQueued(transaction);
  return !writer_is_enough && BackUp(slot, kNoNode, entry.version, nullptr);
}

bool Home::Invalidate(Slot slot) {
  Transaction& transaction = TransactionOf(slot);
  if (transaction.invalidated) return false;
  transaction.invalidated = true;
  DirEntry& entry = directory_.table().at(slot);
  if (transaction.current.want == Want::kWrite) entry.unsure = false;  // they are told now
  const auto targets = InvTargets(slot);
  if (targets.empty()) return false;
  transaction.stamp = NextStamp();
  std::vector<NodeId> nodes;
  for (const auto& [node, mode] : targets) {
    nodes.push_back(node);
    entry.demoted = entry.demoted || mode == InvMode::kDemote;
    Message inv{.kind = Kind::kInv, .key = entry.key, .stamp = transaction.stamp};
    inv.mode = static_cast<uint8_t>(mode);
    inv.peer = transaction.current.from;
    context_.Send(node, std::move(inv));
  }
  Wait(transaction, Phase::kInv, std::move(nodes));
  return true;
}

// The last acknowledgement is in.
void Home::AllInvalidated(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  const Transaction& transaction = TransactionOf(slot);
  const NodeId writer = transaction.current.from;
  const bool had = directory_.HasSharer(slot, writer);
  if (transaction.current.want != Want::kRepair) {
    directory_.ClearSharers(slot);
    entry.vague = false;
  }
  if (had && transaction.current.want == Want::kWrite) directory_.AddSharer(slot, writer);
  const bool writer_dropping = entry.dropping.Has(writer);
  entry.dropping = {};
  if (writer_dropping && transaction.current.want == Want::kWrite) entry.dropping.Add(writer);
  Restart(slot);
}

void Home::Grant(Slot slot, Right right) {
  DirEntry& entry = directory_.table().at(slot);
  const Request& current = TransactionOf(slot).current;
  const NodeId to = current.from;
  Message reply{.kind = Kind::kReply, .key = entry.key, .request = current.id};
  reply.stamp = NextStamp();
  reply.version = entry.version;
  reply.right = right;
  reply.content = entry.content;
  // Who was told to drop its copy has asked before it did so, perhaps.
  const bool has = current.version == entry.version && !entry.vague && !entry.dropping.Has(to) &&
                   (to == context_.self || entry.backups.Has(to) || directory_.HasSharer(slot, to));
  if (entry.content == Content::kData && !has) {
    reply.data = holder_.Peek(entry.key, entry.version);
    assert(reply.data != nullptr);
  }
  entry.dropping.Remove(to);  // whatever old copy it has, this one replaces it
  if (right == Right::kShared) directory_.AddSharer(slot, to);
  context_.Send(to, std::move(reply));
}

// An end without a grant.
void Home::Answer(Slot slot, Status status, Right right) {
  Transaction& transaction = TransactionOf(slot);
  Message reply{.kind = Kind::kReply, .key = directory_.table().at(slot).key};
  reply.request = transaction.current.id;
  reply.stamp = NextStamp();
  reply.version = directory_.table().at(slot).version;
  reply.status = status;
  reply.right = right;
  context_.Send(transaction.current.from, std::move(reply));
  Finish(transaction);
}

Home::Transaction* Home::Awaiting(Slot slot, Phase phase, NodeId from, Stamp stamp) {
  Transaction* transaction = FindTransaction(slot);
  if (transaction == nullptr || transaction->phase != phase) return nullptr;
  if (transaction->stamp != stamp || !Contains(transaction->waiting, from)) return nullptr;
  return transaction;
}

void Home::OnInvAck(NodeId from, const Message& message, Slot slot) {
  Transaction* transaction = Awaiting(slot, Phase::kInv, from, message.stamp);
  if (transaction == nullptr) {
    DirEntry& entry = directory_.table().at(slot);
    entry.dropping.Remove(from);
    if (!entry.busy) return ForgetIfNothing(slot);
    const bool awaited = TransactionOf(slot).phase == Phase::kDrops;
    if (awaited && entry.dropping.size() == 0) Restart(slot);
    return;
  }
  if (message.request != 0) {
    // It has a request under way. If that is not here any more, it has been answered, and what was
    // granted with it may be on its way: then another acknowledgement will follow it.
    const bool queued =
        std::any_of(transaction->queue.begin(), transaction->queue.end(),
                    [&](const Request& r) { return r.from == from && r.id == message.request; });
    const Request& current = transaction->current;
    if (!queued && !(current.from == from && current.id == message.request)) return;
  }
  std::erase(transaction->waiting, from);
  if (transaction->waiting.empty()) AllInvalidated(slot);
}

void Home::OnRecallAck(NodeId from, const Message& message, Slot slot) {
  Transaction* transaction = Awaiting(slot, Phase::kRecall, from, message.stamp);
  if (transaction == nullptr) return;
  DirEntry& entry = directory_.table().at(slot);
  const RecallMode mode = transaction->recall_mode;
  entry.exclusive = false;
  entry.owner = kNoNode;
  if (message.content != Content::kData) {
    entry.content = message.content;
    return Restart(slot);
  }
  if (!IsVolatile(entry.key.set)) {
    if (mode == RecallMode::kShare) {
      directory_.AddSharer(slot, from);
      if (from != context_.self && BackersWanted(entry.key) > 0) entry.backups.Add(from);
    }
    return Restart(slot);
  }
  entry.content = Content::kData;
  entry.version = message.version;
  if (message.data != nullptr) holder_.KeepForHome(entry.key, entry.version, message.data);
  if (mode != RecallMode::kShare) return Restart(slot);
  directory_.AddSharer(slot, from);
  const bool gone = !context_.homes.IsMember(transaction->current.from);
  // `from` has sent it the value.
  if (!gone) directory_.AddSharer(slot, transaction->current.from);
  if (gone || from == context_.self || transaction->arrived) {
    Finish(*transaction);
    return Serve(slot);
  }
  transaction->lender = from;
  Wait(*transaction, Phase::kArrive, {transaction->current.from});
}

void Home::OnUnblock(NodeId from, const Message& message, Slot slot) {
  Transaction* transaction = FindTransaction(slot);
  if (transaction == nullptr) return;
  if (transaction->current.from != from || transaction->current.id != message.request) return;
  const Phase phase = transaction->phase;
  if (phase == Phase::kArrive) {
    Finish(*transaction);
    return Serve(slot);
  }
  if (phase == Phase::kRecall && transaction->recall_mode == RecallMode::kShare) {
    transaction->arrived = true;  // before the value came home
    return;
  }
  if (phase != Phase::kUnblock && phase != Phase::kRecall && phase != Phase::kQuery) return;
  DirEntry& entry = directory_.table().at(slot);
  if (!message.got) {
    // The holder died with the only copy.
    entry.exclusive = false;
    entry.owner = kNoNode;
    entry.content = Content::kLost;
    return Restart(slot);
  }
  if (phase == Phase::kQuery && transaction->recall_mode == RecallMode::kShare) {
    // The home has not got the value from the holder that died; the requester has.
    entry.exclusive = false;
    entry.owner = kNoNode;
    entry.version = message.version;
    entry.content = Content::kData;
    directory_.ClearSharers(slot);
    directory_.AddSharer(slot, from);
    QueueRepair(slot);
  } else {
    const NodeId before = phase == Phase::kUnblock ? context_.self : entry.owner;
    entry.exclusive = true;
    entry.owner = from;
    if (entry.content == Content::kAbsent) entry.content = Content::kData;
    directory_.ClearSharers(slot);
    if (before != from && context_.homes.IsMember(before)) DropOld(slot, before);
  }
  Finish(*transaction);
  Serve(slot);
}

// `node` may have a copy that is not current any more. It is told to drop it, and nobody waits: but
// until it has answered, the next invalidation asks it again.
void Home::DropOld(Slot slot, NodeId node) {
  if (!context_.homes.IsMember(node)) return;
  DirEntry& entry = directory_.table().at(slot);
  if (!entry.dropping.Add(node)) {
    directory_.AddSharer(slot, node);  // who is asked as well
    entry.vague = true;
  }
  if (Transaction* transaction = FindTransaction(slot)) {
    for (Request& request : transaction->queue) {
      const bool asks = request.want == Want::kRead || request.want == Want::kWrite;
      if (request.from == node && asks) request.version = 0;
    }
  }
  Message inv{.kind = Kind::kInv, .key = entry.key, .stamp = NextStamp()};
  inv.mode = static_cast<uint8_t>(InvMode::kDrop);
  context_.Send(node, std::move(inv));
}

}  // namespace clustix::kddm
