// SPDX-License-Identifier: Apache-2.0
//
// What a view change means to a home. Three kinds of buckets: those that go to another home are
// forgotten (holders report to the new one, requesters ask it again); those that come are rebuilt
// from the reports of all members, and meanwhile their messages wait; in all others only the
// objects that a dead node had to do with need work.
#include <algorithm>
#include <cassert>

#include "lib/kddm/home.h"
#include "lib/kddm/limits.h"

namespace clustix::kddm {

namespace {

// For which numbers of copies an object may have lost all of them.
DoubtMask MaskOf(size_t failures, size_t settled_members) {
  DoubtMask mask = 0;
  for (size_t copies = 1; copies <= kBackupsMax + 1; ++copies) {
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
  all_settled_ = false;
  if (doubts_.empty()) {
    // Before the first view of all there was nothing that could have been lost.
    const bool first = now.epoch() == 1;
    doubts_.assign(now.buckets(), first ? 0 : kAllDoubt);
    if (first) settled_members_ = now.members().size();
    if (first) settled_epoch_ = now.epoch();
  }
  told_doubts_.assign(now.buckets(), 0);
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

void Home::AddDoubts(Report& report, const std::function<bool(Bucket)>& of) const {
  report.failures = failures_;
  report.settled_members = settled_members_;
  for (size_t i = 0; i < doubts_.size(); ++i) {
    const Bucket bucket = static_cast<Bucket>(i);
    if (doubts_[i] != 0 && of(bucket))
      report.doubts.push_back({.bucket = bucket, .mask = doubts_[i]});
  }
}

// Of an object that goes to another home: should nobody turn out to have it, then it is lost.
bool Home::MustBeSomewhere(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  const Transaction* under_way = FindTransaction(slot);
  // It was about to be removed.
  if (under_way != nullptr && under_way->current.want == Want::kPut &&
      under_way->current.data == nullptr) {
    return false;
  }
  if (!IsVolatile(entry.key.set)) return entry.content != Content::kAbsent;
  // Who has it exclusively knows better than the home whether it exists: it may just have given
  // back that it does not. But what a requester that died was to be given may be in no copy.
  const bool returning = under_way != nullptr && under_way->phase == Phase::kRecall &&
                         under_way->recall_mode == RecallMode::kReturn;
  if (entry.exclusive) return returning || !context_.homes.IsMember(entry.owner);
  const bool leaving = under_way != nullptr && under_way->phase == Phase::kUnblock;
  if (leaving && !context_.homes.IsMember(under_way->current.from)) return true;
  return entry.content != Content::kAbsent;
}

void Home::LeaveBuckets(std::vector<ReportEntry>& marks) {
  directory_.table().Walk([&](Slot slot) {
    const DirEntry& entry = directory_.table().at(slot);
    if (IsHome(entry.key)) return;
    const Transaction* under_way = FindTransaction(slot);
    const bool unproven = under_way != nullptr && under_way->unproven != Transaction::Unproven::kNo;
    if (entry.exclusive && !IsVolatile(entry.key.set) && !unproven) {
      marks.push_back({.key = entry.key,
                       .version = entry.version,
                       .role = Role::kGranted,
                       .content = Content::kAbsent,
                       .grantee = entry.owner,
                       .demoted = 0,
                       .grantee_lives = false,
                       .removing = false});
    }
    if (MustBeSomewhere(slot)) {
      marks.push_back({.key = entry.key,
                       .version = entry.version,
                       .role = Role::kExists,
                       .content = entry.content,
                       .grantee = kNoNode,
                       .demoted = 0,
                       .grantee_lives = false,
                       .removing = false});
    }
    if (entry.busy) {
      const Transaction& transaction = TransactionOf(slot);
      if (transaction.current.want == Want::kRepair) --repairs_;
      for (const Request& request : transaction.queue) {
        if (request.want == Want::kRepair) --repairs_;
      }
      transactions_.erase(slot);
      --busy_;
    }
    directory_.Erase(slot);
  });
  for (auto& [epoch, gain] : rebuilds_) {
    std::erase_if(gain.buckets,
                  [this](Bucket bucket) { return context_.homes.HomeOf(bucket) != context_.self; });
    std::erase_if(gain.waiting, [&, since = epoch](NodeId node) {
      return context_.homes.MemberSince(node) == 0 || context_.homes.MemberSince(node) > since;
    });
  }
}

void Home::TakeBuckets() {
  Gain gain;
  for (size_t i = 0; i < context_.homes.buckets(); ++i) {
    const Bucket bucket = static_cast<Bucket>(i);
    if (context_.homes.HomeOf(bucket) == context_.self &&
        context_.homes.HomeSince(bucket) == context_.homes.epoch()) {
      gain.buckets.insert(bucket);
    }
  }
  if (gain.buckets.empty()) return;
  for (const Bucket bucket : gain.buckets) gain.doubts[bucket] = kAllDoubt;
  gain.waiting.insert(context_.homes.members().begin(), context_.homes.members().end());
  rebuilds_[context_.homes.epoch()] = std::move(gain);
}

Home::Gain* Home::GainOf(const ObjectKey& key) {
  if (rebuilds_.empty()) return nullptr;
  const Bucket bucket = context_.homes.BucketOf(key);
  for (auto& [epoch, gain] : rebuilds_) {
    if (gain.buckets.contains(bucket)) return &gain;
  }
  return nullptr;
}

void Home::OnReport(NodeId from, const Message& message) {
  const auto found = rebuilds_.find(message.epoch);
  if (found == rebuilds_.end() || found->second.waiting.erase(from) == 0) return;
  Gain& gain = found->second;
  for (const ReportEntry& entry : message.report->entries) {
    gain.reports[{entry.key.set, entry.key.object}].push_back({.node = from, .entry = entry});
  }
  gain.all_fresh = gain.all_fresh && message.report->fresh;
  if (gain.settled_members == 0) {
    gain.failures = message.report->failures;
    gain.settled_members = message.report->settled_members;
  }
  std::map<Bucket, DoubtMask> said;
  for (const Doubt& doubt : message.report->doubts) said[doubt.bucket] = doubt.mask;
  for (auto& [bucket, least] : gain.doubts) {
    const auto doubted = said.find(bucket);
    least = static_cast<DoubtMask>(least & (doubted == said.end() ? 0 : doubted->second));
  }
  FinishGains();
}

// Opens the buckets of which all members have reported.
void Home::FinishGains() {
  for (auto at = rebuilds_.begin(); at != rebuilds_.end();) {
    if (!at->second.waiting.empty()) {
      ++at;
      continue;
    }
    const Epoch epoch = at->first;
    Gain gain = std::move(at->second);
    at = rebuilds_.erase(at);
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
    for (const auto& [id, reports] : gain.reports) {
      const ObjectKey key{.object = id.second, .set = id.first};
      if (!gain.buckets.contains(context_.homes.BucketOf(key))) continue;
      std::vector<NodeReport> alive;
      for (const NodeReport& report : reports) {
        const Epoch since = context_.homes.MemberSince(report.node);
        if (since != 0 && since <= epoch) alive.push_back(report);
      }
      if (!alive.empty()) Adopt(key, alive, epoch);
    }
    for (const auto& [from, message] : gain.early) {
      const Epoch since = context_.homes.MemberSince(from);
      if (since != 0 && since <= message.epoch && IsHome(message.key)) OnMessage(from, message);
    }
  }
}

void Home::Adopt(const ObjectKey& key, const std::vector<NodeReport>& reports, Epoch epoch) {
  const Rebuilt rebuilt = Rebuild(reports, [this, epoch](NodeId node) {
    const Epoch since = context_.homes.MemberSince(node);
    return since != 0 && since <= epoch;
  });
  const Slot slot = EntryOf(key);
  DirEntry& entry = directory_.table().at(slot);
  if (rebuilt.content != Content::kAbsent || rebuilt.owner != kNoNode) {
    entry.content = rebuilt.content;
    entry.version = std::max(entry.version, rebuilt.version);
  }
  if (rebuilt.content == Content::kData) entry.version = rebuilt.version;
  if (rebuilt.content == Content::kLost && IsLinked(key.set)) entry.content = Content::kAbsent;
  entry.exclusive = rebuilt.owner != kNoNode;
  entry.owner = rebuilt.owner;
  for (const NodeId node : rebuilt.readers) directory_.AddSharer(slot, node);
  if (rebuilt.writer != kNoNode) directory_.AddSharer(slot, rebuilt.writer);
  Transaction& transaction = TransactionOf(slot);
  transaction.leftover = rebuilt.leftover;
  // What was kept for the case that the owner of a volatile object does not get it is of no use
  // any more, and would be taken for its value once the owner has failed.
  const bool useless = IsVolatile(key.set) && entry.exclusive;
  for (const NodeId node : rebuilt.holders) {
    if (useless) transaction.leftover.push_back(node);
    if (useless || node == context_.self) continue;
    if (!entry.backups.Add(node)) transaction.leftover.push_back(node);
  }
  // Whoever backs it up may still think that it does so in case a grant was lost, or that it is
  // needed whoever commits.
  entry.demoted = entry.unsure = entry.backups.size() > 0;
  if (rebuilt.unproven && !IsVolatile(key.set)) {
    using Unproven = Transaction::Unproven;
    transaction.unproven = rebuilt.removing ? Unproven::kRemoval : Unproven::kValue;
    entry.unsure = false;  // all are demoted for the owner, and are to stay so
  }
  QueueRepair(slot);
  Serve(slot);
}

void Home::QueueRepair(Slot slot) {
  Transaction& transaction = TransactionOf(slot);
  for (const Request& request : transaction.queue) {
    if (request.want == Want::kRepair) return;
  }
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
  if (!entry.exclusive && entry.content != Content::kAbsent) {
    const Copy* own = holder_.Find(entry.key);
    if (entry.content == Content::kLost && own != nullptr && own->content == Content::kData) {
      DropOld(slot, context_.self);  // what is not current is not to be found later
    } else if (entry.content == Content::kData && HasValue(entry)) {
      // The home's own copy, too, may have been put aside for a grant.
      holder_.KeepForHome(entry.key, entry.version, holder_.Peek(entry.key, entry.version));
    }
    if (BackUp(slot, kNoNode, entry.version, nullptr)) return;
  }
  const bool held = entry.exclusive && !at_owner && entry.content == Content::kData;
  if (held && HasValue(entry) && (Reassure(slot) || BackUpHeld(slot))) return;
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
  if (!PutOfOwnerFirst(slot)) Wait(transaction, Phase::kOwnerPut, {owner});
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
  if (transaction.current.want == Want::kRepair) transaction.invalidated = false;
  QueueRepair(slot);
}

// What the coming and going of nodes means to an object whose home is still this node.
void Home::Survive(Slot slot, size_t members_before) {
  DirEntry& entry = directory_.table().at(slot);
  auto dead = [this](NodeId node) { return node != kNoNode && !context_.homes.IsMember(node); };
  // With a member more there may be room for a copy more.
  const size_t at_owner = entry.exclusive && entry.owner != context_.self ? 1 : 0;
  bool repair = entry.content != Content::kAbsent && !IsVolatile(entry.key.set) &&
                entry.backups.size() + at_owner < BackersWanted(entry.key);
  for (const NodeId node : entry.backups.list()) {
    if (!dead(node)) continue;
    entry.backups.Remove(node);
    repair = true;
  }
  const bool wants_others =
      repair || BackersWanted(entry.key) != BackersWanted(entry.key, members_before);
  if (entry.exclusive && wants_others && entry.backups.size() > 0) entry.unsure = repair = true;
  for (const NodeId node : entry.dropping.list()) {
    if (dead(node)) entry.dropping.Remove(node);
  }
  for (const NodeId node : directory_.Sharers(slot)) {
    if (dead(node)) directory_.RemoveSharer(slot, node);
  }
  const NodeId dead_owner = entry.exclusive && dead(entry.owner) ? entry.owner : kNoNode;
  const Transaction* transaction = FindTransaction(slot);
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
  if (repair) QueueRepair(slot);
  if (transaction != nullptr && dead(transaction->current.from)) {
    // Even if the node comes back, it is not the one that asked.
    if (committing) entry.owner = kNoNode;
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
  if (settled_.size() < context_.homes.members().size()) return;
  failures_ = 0;
  settled_epoch_ = context_.homes.epoch();
  settled_members_ = settled_.size();
  all_settled_ = true;
  doubts_ = told_doubts_;
}

void Home::TellWhenSettled() {
  if (told_settled_ || !settled()) return;
  told_settled_ = true;
  auto report = std::make_shared<Report>();
  AddDoubts(*report,
            [this](Bucket bucket) { return context_.homes.HomeOf(bucket) == context_.self; });
  for (const NodeId node : context_.homes.members()) {
    Message message{.kind = Kind::kSettled};
    message.report = report;
    context_.Send(node, std::move(message));
  }
}

}  // namespace clustix::kddm
