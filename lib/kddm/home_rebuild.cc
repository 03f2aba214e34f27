// SPDX-License-Identifier: Apache-2.0
//
// Buckets that change their home. Those that leave are forgotten: holders report to the new home,
// and requesters ask it again. Those that come are rebuilt from the reports of all members, and
// meanwhile their messages wait.
#include <utility>

#include "lib/kddm/home.h"

namespace clustix::kddm {

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
    std::erase_if(gain.buckets, [this, since = epoch](Bucket bucket) {
      const bool leaves = context_.homes.HomeOf(bucket) != context_.self;
      if (leaves) PassOn(since, bucket);
      return leaves;
    });
    std::erase_if(gain.waiting, [&, since = epoch](NodeId node) {
      return context_.homes.MemberSince(node) == 0 || context_.homes.MemberSince(node) > since;
    });
  }
}

// The bucket leaves while its rebuild, begun in the view `epoch`, is not complete.
void Home::PassOn(Epoch epoch, Bucket bucket) {
  const NodeId to = context_.homes.HomeOf(bucket);
  for (Owed& owed : owed_) {
    if (owed.about == context_.homes.epoch() && owed.to == to) {
      owed.passed[epoch].insert(bucket);
      return;
    }
  }
  owed_.push_back({.about = context_.homes.epoch(),
                   .to = to,
                   .passed = {{epoch, {bucket}}},
                   .marks = {},
                   .report = nullptr});
}

void Home::SendReport(NodeId to, std::shared_ptr<Report> report) {
  for (Owed& owed : owed_) {
    if (owed.about != context_.homes.epoch() || owed.to != to) continue;
    owed.report = std::move(report);
    return PayOwed();
  }
  owed_.push_back({.about = context_.homes.epoch(),
                   .to = to,
                   .passed = {},
                   .marks = {},
                   .report = std::move(report)});
  PayOwed();
}

// The rebuild is complete: what the homes before said of what was passed on can be told.
void Home::TakeMarks(Epoch epoch, const Gain& gain) {
  for (Owed& owed : owed_) {
    const auto passed = owed.passed.find(epoch);
    if (passed == owed.passed.end()) continue;
    for (const auto& [id, reports] : gain.reports) {
      const ObjectKey key{.object = id.second, .set = id.first};
      if (!passed->second.contains(context_.homes.BucketOf(key))) continue;
      for (const NodeReport& said : reports) {
        const bool by_home = said.entry.role == Role::kExists || said.entry.role == Role::kGranted;
        if (by_home) owed.marks.push_back(said.entry);
      }
    }
    owed.passed.erase(passed);
  }
  PayOwed();
}

void Home::PayOwed() {
  std::erase_if(owed_, [this](Owed& owed) {
    if (owed.report == nullptr || !owed.passed.empty()) return false;
    auto& entries = owed.report->entries;
    entries.insert(entries.end(), owed.marks.begin(), owed.marks.end());
    Message message{.kind = Kind::kReport};
    message.stamp = owed.about;
    message.report = std::move(owed.report);
    context_.Send(owed.to, std::move(message));
    return true;
  });
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
  const auto found = rebuilds_.find(static_cast<Epoch>(message.stamp));
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
    TakeMarks(epoch, gain);
    LearnDoubts(gain);
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
  entry.in_transit = false;
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

}  // namespace clustix::kddm
