// SPDX-License-Identifier: Apache-2.0
//
// What a view change means to a home. Three kinds of buckets: those that go to another home and
// those that come stand in home_rebuild.cc; in all others only the objects that a dead node had to
// do with need work.
#include <algorithm>
#include <cassert>

#include "lib/kddm/home.h"
#include "lib/kddm/limits.h"

namespace clustix::kddm {

namespace {

// For which numbers of copies an object may have lost all of them.
DoubtMask MaskOf(size_t failures, size_t settled_members) {
  DoubtMask mask = 0;
  for (size_t copies = 1; copies <= kCopiesMax; ++copies) {
    if (failures >= std::min(copies, settled_members)) {
      mask = static_cast<DoubtMask>(mask | 1u << (copies - 1));
    }
  }
  return mask;
}

}  // namespace

std::vector<ReportEntry> Home::InstallView(const HomeMap& before) {
  std::vector<ReportEntry> marks;
  CountFailures(before);
  LeaveBuckets(marks);
  directory_.table().Walk([&](Slot slot) { Survive(slot, before.members().size()); });
  TakeBuckets();
  FinishGains();
  return marks;
}

// If as many nodes fail as hold an object, before the copies that the first failures cost have been
// made again, nobody may be left who knows that it existed. In a bucket whose home is among the
// dead, unknown objects then count as lost until somebody sets or removes them.
//
// What a node says of a bucket is never too little: a node that is new doubts everything until the
// homes have told it better. So a new home may believe whoever doubts least.
void Home::CountFailures(const HomeMap& before) {
  const HomeMap& now = context_.homes;
  settled_.clear();
  told_settled_ = false;
  context_.all_settled = false;
  if (doubts_.empty()) {
    // Before the first view of all there was nothing that could have been lost.
    const bool first = now.epoch() == 1;
    doubts_.assign(now.buckets(), first ? 0 : kAllDoubt);
    if (first) settled_members_ = now.members().size();
    if (first) settled_epoch_ = now.epoch();
  }
  told_doubts_.assign(now.buckets(), 0);
  told_shortage_ = 0;
  size_t dead = 0;
  for (const NodeId node : before.members()) {
    if (!now.IsMember(node)) ++dead;
  }
  if (dead == 0) return;
  failures_ += dead;
  const DoubtMask mask = MaskOf(failures_, settled_members_);
  for (auto& [epoch, gain] : rebuilds_) gain.later_failures += dead;
  for (size_t i = 0; i < now.buckets(); ++i) {
    const Bucket bucket = static_cast<Bucket>(i);
    // What a bucket holds is known to its home, once that has heard all and repaired everything.
    const bool known =
        now.IsMember(before.HomeOf(bucket)) && before.HomeSince(bucket) <= settled_epoch_;
    if (known) continue;
    doubts_[bucket] = static_cast<DoubtMask>(doubts_[bucket] | mask);
  }
}

// What all members said of the buckets that this node has taken.
void Home::LearnDoubts(const Gain& gain) {
  if (settled_members_ == 0) {  // this node is new, and learns how things stand
    failures_ = gain.failures + gain.later_failures;
    settled_members_ = gain.settled_members;
  }
  for (const Bucket bucket : gain.buckets) {
    doubts_[bucket] = gain.all_fresh ? DoubtMask{0} : gain.doubts.at(bucket);
    if (gain.later_failures > 0) {
      doubts_[bucket] |= MaskOf(gain.failures + gain.later_failures, gain.settled_members);
    }
  }
}

void Home::AddDoubts(Report& report, const std::function<bool(Bucket)>& of) const {
  report.failures = failures_;
  report.settled_members = settled_members_;
  for (size_t i = 0; i < doubts_.size(); ++i) {
    const Bucket bucket = static_cast<Bucket>(i);
    if (doubts_[i] != 0 && of(bucket))
      report.doubts.push_back({.bucket = bucket, .mask = doubts_[i]});
  }
}

bool Home::RepairIsQueued(const Transaction& transaction) {
  return std::any_of(transaction.queue.begin(), transaction.queue.end(),
                     [](const Request& request) { return request.want == Want::kRepair; });
}

void Home::QueueRepair(Slot slot) {
  Transaction& transaction = TransactionOf(slot);
  if (RepairIsQueued(transaction)) return;
  Request repair;
  repair.want = Want::kRepair;
  repair.from = context_.self;
  ++repairs_;
  Enqueue(slot, std::move(repair), true);
}

// Brings an object to what its policy wants, as far as it is not exclusive elsewhere: the value at
// home, enough backups, and nothing anywhere that nobody may have.
void Home::AdvanceRepair(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  const bool at_owner = entry.exclusive && IsVolatile(entry.key.set);
  if (TransactionOf(slot).unproven != Transaction::Unproven::kNo) {
    if (!Invalidate(slot)) AwaitOwnerPut(slot);
    return;
  }
  if (!at_owner && PullValue(slot)) return;
  const bool its_own = entry.exclusive && entry.owner == context_.self;
  if (!at_owner && !its_own && entry.content == Content::kData && HasValue(entry)) {
    // The home's own copy, too, may have been put aside for a grant. But nothing commits without
    // the home, whoever has the object exclusively.
    holder_.KeepForHome(entry.key, entry.version, holder_.Peek(entry.key, entry.version));
  }
  if (!entry.exclusive && entry.content != Content::kAbsent) {
    const Copy* own = holder_.Find(entry.key);
    if (entry.content == Content::kLost && own != nullptr && own->content == Content::kData) {
      DropOld(slot, context_.self);  // what is not current is not to be found later
    }
    if (BackUp(slot, kNoNode, entry.version, nullptr)) return;
  }
  const bool held = entry.exclusive && !at_owner && entry.content == Content::kData;
  if (held && HasValue(entry) && (Reassure(slot) || BackUpHeld(slot) || AssureOwner(slot))) {
    return;
  }
  // Last of all: until there are as many copies of the current value as there are to be, which may
  // be of a commit that had only just begun, the one before it may yet be needed.
  if (Invalidate(slot)) return;
  TransactionOf(slot).leftover.clear();
  Finish(TransactionOf(slot));
}

// As long as it is not known whether the owner's commit has happened, no copy may be made of what
// it started from. The owner is asking for it again.
void Home::AwaitOwnerPut(Slot slot) {
  Transaction& transaction = TransactionOf(slot);
  transaction.leftover.clear();
  const NodeId owner = directory_.table().at(slot).owner;
  if (!PutFirst(slot)) Wait(transaction, Phase::kOwnerPut, {owner});
}

// The commit will not be asked for again. It counts as having happened where that is no lie: of a
// removal, since nothing can have followed it; of a linked object, whose linker knows. Otherwise
// the value is lost.
void Home::GiveUpUnproven(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  const bool removal = transaction.unproven == Transaction::Unproven::kRemoval;
  transaction.unproven = Transaction::Unproven::kNo;
  entry.exclusive = false;
  entry.owner = kNoNode;
  entry.imported = false;
  entry.content = removal || IsLinked(entry.key.set) ? Content::kAbsent : Content::kLost;
  entry.version = NextStamp();
  for (const NodeId node : entry.backups.list()) transaction.leftover.push_back(node);
  if (holder_.Find(entry.key) != nullptr) transaction.leftover.push_back(context_.self);
  entry.backups = {};
  entry.demoted = entry.unsure = false;
  context_.NoteChange(entry.key, entry.version, entry.content == Content::kAbsent);
  if (transaction.current.want == Want::kRepair) transaction.invalidated = false;
  QueueRepair(slot);
}

// What the coming and going of nodes means to an object whose home is still this node.
void Home::Survive(Slot slot, size_t members_before) {
  DirEntry& entry = directory_.table().at(slot);
  auto dead = [this](NodeId node) { return node != kNoNode && !context_.homes.IsMember(node); };
  // With a member more there may be room for a copy more.
  bool repair = entry.content != Content::kAbsent && !IsVolatile(entry.key.set) &&
                CopiesBesideHome(entry) < BackersWanted(entry.key);
  for (const NodeId node : entry.backups.list()) {
    if (!dead(node)) continue;
    entry.backups.Remove(node);
    repair = true;
  }
  const bool wants_others =
      repair || BackersWanted(entry.key) != BackersWanted(entry.key, members_before);
  // An invalidation that is under way has told them what was so before.
  const Transaction* transaction = FindTransaction(slot);
  const bool granting = transaction != nullptr && transaction->invalidated &&
                        transaction->current.want == Want::kWrite;
  if ((entry.exclusive || granting) && wants_others && entry.backups.size() > 0) {
    entry.unsure = repair = true;
  }
  for (const NodeId node : entry.dropping.list()) {
    if (dead(node)) entry.dropping.Remove(node);
  }
  for (const NodeId node : directory_.Sharers(slot)) {
    if (dead(node)) directory_.RemoveSharer(slot, node);
  }
  const NodeId dead_owner = entry.exclusive && dead(entry.owner) ? entry.owner : kNoNode;
  const bool committing = transaction != nullptr && transaction->current.want == Want::kPut &&
                          transaction->current.from == dead_owner;
  const bool asking = transaction != nullptr && transaction->phase == Phase::kRecall;
  if (dead_owner != kNoNode && !committing) {
    repair = true;
    if (transaction != nullptr && transaction->unproven != Transaction::Unproven::kNo) {
      GiveUpUnproven(slot);
    } else if (!IsVolatile(entry.key.set)) {
      entry.exclusive = false;
      entry.owner = kNoNode;
      entry.demoted = entry.backups.size() > 0;
    } else if (!asking) {
      entry.exclusive = false;
      entry.owner = kNoNode;
      entry.content = Content::kLost;
    }
  }
  // They may be demoted for a node that is gone, and would then not speak for the value.
  repair = repair || (entry.demoted && !entry.exclusive && !IsVolatile(entry.key.set));
  if (repair) QueueRepair(slot);
  if (transaction != nullptr && dead(transaction->current.from)) {
    // Even if the node comes back, it is not the one that asked.
    if (committing) entry.owner = kNoNode;
    // Copies are being put aside for a grant to it, until holds there end: not settled before.
    if (transaction->invalidated && transaction->current.want == Want::kWrite) QueueRepair(slot);
    TransactionOf(slot).current.from = kNoNode;
  }
  if (entry.busy) SurviveTransaction(slot, committing ? kNoNode : dead_owner);
}

void Home::SurviveTransaction(Slot slot, NodeId dead_owner) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  auto dead = [this](NodeId node) { return !context_.homes.IsMember(node); };
  std::erase_if(transaction.queue, [&](const Request& r) { return dead(r.from); });
  const bool was_waiting = transaction.phase != Phase::kStart;
  std::erase_if(transaction.waiting, dead);
  std::erase_if(transaction.leftover, dead);
  std::erase_if(transaction.holding, dead);
  transaction.assured.clear();  // what they were told may have changed
  const bool requester_dead = was_waiting && dead(transaction.current.from);
  switch (transaction.phase) {
    case Phase::kRecall:
      if (dead_owner != kNoNode || (requester_dead && IsVolatile(entry.key.set))) {
        AskWhoGotIt(slot, dead_owner);
      }
      return;
    case Phase::kInv:
      if (transaction.waiting.empty()) AllInvalidated(slot);
      return;
    case Phase::kUnblock:
    case Phase::kQuery:
      if (!requester_dead) return;
      // It may have written, and told so.
      entry.exclusive = false;
      entry.owner = kNoNode;
      entry.content = Content::kLost;
      QueueRepair(slot);
      return Restart(slot);
    case Phase::kArrive:
      if (!requester_dead && context_.homes.IsMember(transaction.lender)) return;
      // The lender's grant may have died with it. A second one does no harm.
      transaction.current.version = 0;  // it may have dropped since what it had when it asked
      if (!requester_dead) Grant(slot, Right::kShared);
      Finish(transaction);
      return Serve(slot);
    case Phase::kDrops:
      return Restart(slot);
    case Phase::kOwnerPut:
    case Phase::kBackup:
    case Phase::kAssure:
    case Phase::kPull:
      if (transaction.waiting.empty()) Restart(slot);
      return;
    case Phase::kLinker:
      return;
    case Phase::kStart:
      return Serve(slot);
  }
}

// A recall that has lost its owner or its requester. Only a volatile object passes from one to the
// other without its home.
void Home::AskWhoGotIt(Slot slot, NodeId dead_owner) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  const NodeId requester = transaction.current.from;
  const bool direct =
      IsVolatile(entry.key.set) && (transaction.recall_mode == RecallMode::kShare ||
                                    transaction.recall_mode == RecallMode::kTransfer);
  if (!direct) {
    if (dead_owner == kNoNode) return;  // asked already, in a view before this one
    if (IsVolatile(entry.key.set)) {
      entry.exclusive = false;
      entry.owner = kNoNode;
      entry.content = Content::kLost;
    }
    return Restart(slot);
  }
  if (dead_owner == kNoNode) {
    // The owner may have given it to the dead requester, or still have it: it says which.
    if (transaction.recall_mode == RecallMode::kShare) return;
    // Under the same stamp, for it may have answered already that there is nothing to give.
    Message recall{.kind = Kind::kRecall, .key = entry.key, .stamp = transaction.stamp};
    recall.mode = static_cast<uint8_t>(RecallMode::kReturn);
    transaction.recall_mode = RecallMode::kReturn;
    return context_.Send(entry.owner, std::move(recall));
  }
  if (!context_.homes.IsMember(requester)) {
    entry.exclusive = false;
    entry.owner = kNoNode;
    entry.content = Content::kLost;
    return Restart(slot);
  }
  Message query{.kind = Kind::kQuery, .key = entry.key, .request = transaction.current.id};
  context_.Send(requester, std::move(query));
  Wait(transaction, Phase::kQuery, {requester});
}

void Home::OnSettled(NodeId from, const Message& message) {
  if (message.epoch != context_.homes.epoch()) return;
  settled_.insert(from);
  for (const Doubt& doubt : message.report->doubts) told_doubts_[doubt.bucket] = doubt.mask;
  told_shortage_ = std::max(told_shortage_, message.report->failures);
  if (settled_.size() < context_.homes.members().size()) return;
  // An object that lacks copies is as near to being lost as if their holders had failed just now.
  failures_ = told_shortage_;
  settled_epoch_ = context_.homes.epoch();
  settled_members_ = settled_.size();
  context_.all_settled = true;
  doubts_ = told_doubts_;
}

size_t Home::Shortage() const {
  size_t most = 0;
  directory_.table().Walk([&](Slot slot) {
    const DirEntry& entry = directory_.table().at(slot);
    if (entry.content == Content::kAbsent) return;
    const size_t has = CopiesBesideHome(entry), wanted = BackersWanted(entry.key);
    if (has < wanted) most = std::max(most, wanted - has);
  });
  return most;
}

void Home::TellWhenSettled() {
  if (told_settled_ || !settled()) return;
  told_settled_ = true;
  auto report = std::make_shared<Report>();
  AddDoubts(*report,
            [this](Bucket bucket) { return context_.homes.HomeOf(bucket) == context_.self; });
  report->failures = Shortage();
  for (const NodeId node : context_.homes.members()) {
    Message message{.kind = Kind::kSettled};
    message.report = report;
    context_.Send(node, std::move(message));
  }
}

}  // namespace clustix::kddm
