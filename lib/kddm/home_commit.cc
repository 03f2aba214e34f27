// SPDX-License-Identifier: Apache-2.0
//
// Commits, removals, backups, and the IO linker.
#include <algorithm>
#include <cassert>
#include <utility>

#include "lib/kddm/home.h"
#include "lib/kddm/limits.h"

namespace clustix::kddm {

size_t Home::BackersWanted(const ObjectKey& key, size_t members) {
  return std::min(CopiesOf(key.set), members) - 1;
}

size_t Home::BackersWanted(const ObjectKey& key) const {
  return BackersWanted(key, context_.homes.members().size());
}

// Of the request at hand: one more if the home will not have it.
size_t Home::BackersWanted(Slot slot) {
  const size_t beside_home = BackersWanted(directory_.table().at(slot).key);
  return TransactionOf(slot).away ? beside_home + 1 : beside_home;
}

// Those that are known.
size_t Home::CopiesBesideHome(const DirEntry& entry) const {
  const bool at_owner = entry.exclusive && entry.owner != context_.self && !entry.in_transit;
  return entry.backups.size() + (at_owner ? 1 : 0);
}

// The nodes beside the home that hold the value once `writer` (kNoNode: nobody) has committed: the
// writer, which has it, then who backs it up already, then who would be home next and is not known
// to have no room.
std::vector<NodeId> Home::Backers(Slot slot, NodeId writer, const std::vector<NodeId>& unable) {
  const DirEntry& entry = directory_.table().at(slot);
  const size_t wanted = BackersWanted(slot);
  std::vector<NodeId> backers;
  auto add = [&](NodeId node) {
    if (backers.size() < wanted && node != context_.self && context_.homes.IsMember(node) &&
        !Contains(backers, node) && !Contains(unable, node)) {
      backers.push_back(node);
    }
  };
  if (writer != kNoNode) add(writer);
  for (const NodeId node : entry.backups.list()) add(node);
  for (const NodeId node : TransactionOf(slot).holding) add(node);
  if (backers.size() >= wanted) return backers;
  const std::vector<NodeId> rank = context_.homes.Rank(context_.homes.BucketOf(entry.key));
  const size_t bytes = ValueBytes(slot);
  for (const NodeId node : rank) {
    if (context_.MayHaveRoom(node, bytes)) add(node);
  }
  for (const NodeId node : rank) add(node);
  return backers;
}

// Sees to it that the value (or that it is lost) is on as many nodes as the policy wants. With the
// version that the entry has, `data` is not needed, and the entry is updated at the end; a new one
// is for Commit().
bool Home::BackUp(Slot slot, NodeId writer, Version version, const Data& data) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  const bool committed = version == entry.version;
  const std::vector<NodeId> backers = Backers(slot, writer, transaction.unable);
  std::vector<NodeId> missing;
  for (const NodeId node : backers) {
    const bool has = node == writer || Contains(transaction.holding, node) ||
                     (committed && !entry.demoted && entry.backups.Has(node));
    if (!has) missing.push_back(node);
  }
  if (!missing.empty()) {
    transaction.stamp = NextStamp();
    for (const NodeId node : missing) SendBackup(slot, node, version, data, kNoNode);
    Wait(transaction, Phase::kBackup, std::move(missing));
    return true;
  }
  if (!committed) return false;
  SetBackups(slot, backers);
  return false;
}

// Who backed the object up, or was to, and does not any more is told to forget it.
void Home::SetBackups(Slot slot, const std::vector<NodeId>& backers) {
  DirEntry& entry = directory_.table().at(slot);
  std::vector<NodeId> before = entry.backups.list();
  for (const NodeId node : TransactionOf(slot).holding) {
    if (!Contains(before, node)) before.push_back(node);
  }
  entry.backups = {};
  for (const NodeId node : backers) entry.backups.Add(node);
  for (const NodeId node : before) {
    if (!entry.backups.Has(node) && !directory_.HasSharer(slot, node)) DropOld(slot, node);
  }
  entry.demoted = false;
}

// Of an object that is exclusive: tells each backup whether the owner's commit will need it, and
// waits for all to know. Who keeps an older value unconditionally while its successor is committed
// without it would vouch for it if both the home and the owner failed; and who will be needed must
// not depend on the owner's life until then.
bool Home::Reassure(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  if (!entry.unsure) return false;
  const std::vector<NodeId> next = Backers(slot, entry.owner, {});
  std::vector<NodeId> asked;
  for (const NodeId node : entry.backups.list()) {
    if (!Contains(transaction.assured, node)) asked.push_back(node);
  }
  if (asked.empty()) {
    entry.unsure = false;
    return false;
  }
  // Who has got a new value of a put already is sent the committed one again.
  if (transaction.current.want == Want::kPut) {
    std::erase_if(transaction.holding, [&](NodeId node) { return Contains(asked, node); });
  }
  transaction.stamp = NextStamp();
  for (const NodeId node : asked) {
    const bool needed = Contains(next, node);
    entry.demoted = entry.demoted || !needed;
    SendBackup(slot, node, entry.version, nullptr, needed ? kNoNode : entry.owner);
  }
  Wait(transaction, Phase::kAssure, std::move(asked));
  return true;
}

// Of an object that is exclusive: whatever becomes of its owner, and of the grant if that is still
// on its way, the committed value stays where it is until the owner commits.
bool Home::BackUpHeld(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  const std::vector<NodeId> rank = context_.homes.Rank(context_.homes.BucketOf(entry.key));
  // In the order of rank, as Backers() will find them, not as they have answered.
  for (const NodeId node : rank) {
    if (Contains(transaction.holding, node) && node != entry.owner) entry.backups.Add(node);
  }
  const std::vector<NodeId> next = Backers(slot, entry.owner, {});
  std::vector<NodeId> missing;
  for (const NodeId node : rank) {
    if (entry.backups.size() + missing.size() >= BackersWanted(entry.key)) break;
    if (node != context_.self && node != entry.owner && !entry.backups.Has(node) &&
        !Contains(transaction.unable, node)) {
      missing.push_back(node);
    }
  }
  if (missing.empty()) return false;
  transaction.stamp = NextStamp();
  for (const NodeId node : missing) {
    const bool needed = Contains(next, node);
    entry.demoted = entry.demoted || !needed;
    SendBackup(slot, node, entry.version, nullptr, needed ? kNoNode : entry.owner);
  }
  Wait(transaction, Phase::kBackup, std::move(missing));
  return true;
}

// Of an exclusive object that too few members are left to back up, so that its owner's copy counts:
// sees to it that the owner has one. The home may fail, and the grant be lost with it, after all
// have heard that everything is settled.
bool Home::AssureOwner(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  if (Contains(transaction.holding, entry.owner)) entry.in_transit = false;
  if (CopiesBesideHome(entry) >= BackersWanted(entry.key)) return false;
  // Without room for it until the grant arrives, its copy is one that is lacking.
  if (!entry.in_transit || Contains(transaction.unable, entry.owner)) return false;
  transaction.stamp = NextStamp();
  SendBackup(slot, entry.owner, entry.version, nullptr, kNoNode);
  Wait(transaction, Phase::kBackup, {entry.owner});
  return true;
}

// `data` is not needed of the version that the entry has.
void Home::SendBackup(Slot slot, NodeId to, Version version, const Data& data, NodeId grantee) {
  const DirEntry& entry = directory_.table().at(slot);
  const bool committed = version == entry.version;
  Message backup{.kind = Kind::kBackup, .key = entry.key};
  backup.stamp = TransactionOf(slot).stamp;
  backup.version = version;
  backup.peer = grantee;
  backup.content = committed ? entry.content : Content::kData;
  backup.data = committed ? holder_.Peek(entry.key, version) : data;
  context_.Send(to, std::move(backup));
}

void Home::OnBackupAck(NodeId from, const Message& message, Slot slot) {
  Transaction* transaction = Awaiting(slot, Phase::kBackup, from, message.stamp);
  const bool assures = transaction == nullptr;
  if (assures) transaction = Awaiting(slot, Phase::kAssure, from, message.stamp);
  if (transaction == nullptr) return;
  // Whatever old copy it had, it has it no more: to have that dropped again would cost this one.
  if (message.got) directory_.table().at(slot).dropping.Remove(from);
  if (!assures) {
    (message.got ? transaction->holding : transaction->unable).push_back(from);
    if (!message.got) ++transaction->refusals;
  } else if (message.got) {
    transaction->assured.push_back(from);
  } else {
    directory_.table().at(slot).backups.Remove(from);
  }
  std::erase(transaction->waiting, from);
  if (transaction->waiting.empty()) Restart(slot);
}

void Home::AdvancePut(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  const Request& current = transaction.current;
  if (!entry.exclusive || entry.owner != current.from) {
    // Asked again after a view change, and committed before it.
    const bool still = current.data != nullptr && !entry.exclusive &&
                       entry.content == Content::kData && entry.version == current.version;
    if (still) directory_.AddSharer(slot, current.from);
    return Answer(slot, Status::kOk, still ? Right::kShared : Right::kNone);
  }
  if (current.data == nullptr) {
    if (Invalidate(slot) || Export(slot)) return;
    return CommitRemoval(slot);
  }
  if (transaction.refused) return TakeBack(slot);
  if (Reassure(slot)) return;
  const Data old = holder_.Peek(entry.key, entry.version);
  const size_t old_bytes = old == nullptr ? 0 : old->size();
  const size_t bytes = current.data->size();
  const bool fits = bytes <= old_bytes || holder_.MakeRoom(bytes - old_bytes);
  // What the linker has been told is committed, whatever it takes; and what others may have seen.
  const bool unproven = transaction.unproven != Transaction::Unproven::kNo;
  if (!fits && !transaction.exported && !unproven) return TakeBack(slot);
  if (BackUp(slot, current.from, current.version, current.data)) return;
  const size_t backers = Backers(slot, current.from, transaction.unable).size();
  const bool lacking = backers < BackersWanted(entry.key);
  if (lacking && !unproven) return TakeBack(slot);
  if (DropRefused(slot) || Export(slot)) return;
  Commit(slot);
  if (lacking) QueueRepair(slot);
}

// A backup had no room for the new value. The old one, which it keeps unconditionally, must be gone
// before that is committed without it: it would vouch for it if all fail that have the new one.
bool Home::DropRefused(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  std::vector<NodeId> refusing;
  for (const NodeId node : entry.backups.list()) {
    if (Contains(transaction.unable, node)) refusing.push_back(node);
  }
  if (refusing.empty() && !(transaction.draining && entry.dropping.size() > 0)) return false;
  if (entry.dropping.size() == 0) {  // otherwise it may have no room for them
    transaction.draining = true;
    for (const NodeId node : refusing) {
      entry.backups.Remove(node);
      DropOld(slot, node);
    }
  }
  Wait(transaction, Phase::kDrops, entry.dropping.list());
  return true;
}

// There is no room for the value. Whoever has taken it gets the committed one back, before the
// writer is told that nothing was written.
void Home::TakeBack(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  if (!transaction.refused) {
    transaction.refused = entry.unsure = true;
    transaction.assured.clear();  // they have taken the new value since
  }
  if (entry.dropping.size() == 0) {
    for (const NodeId node : std::exchange(transaction.holding, {})) {
      if (!entry.backups.Has(node)) DropOld(slot, node);
    }
  }
  if (entry.dropping.size() > 0) return Wait(transaction, Phase::kDrops, entry.dropping.list());
  if (Reassure(slot)) return;
  QueueRepair(slot);
  FailPut(slot, Status::kNoSpace);
}

// Nothing is written, and the writer still has the object; but if it asked for the second time, the
// first may have been granted, and others have seen what it wrote.
void Home::FailPut(Slot slot, Status status) {
  if (TransactionOf(slot).unproven == Transaction::Unproven::kNo) {
    DirEntry& entry = directory_.table().at(slot);
    if (!context_.homes.IsMember(TransactionOf(slot).current.from)) {  // nobody has it any more
      entry.exclusive = false;
      entry.owner = kNoNode;
      entry.demoted = entry.backups.size() > 0;
      QueueRepair(slot);
    }
    return Answer(slot, status, Right::kExclusive);
  }
  GiveUpUnproven(slot);
  Answer(slot, Status::kUnknown);
}

// The value is where the policy wants it: from here on others may see it.
void Home::Commit(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  const NodeId writer = transaction.current.from;
  const std::vector<NodeId> backers = Backers(slot, writer, transaction.unable);
  transaction.unproven = Transaction::Unproven::kNo;
  holder_.KeepForHome(entry.key, transaction.current.version, transaction.current.data);
  entry.version = transaction.current.version;
  entry.content = Content::kData;
  entry.exclusive = false;
  entry.owner = kNoNode;
  entry.removed = false;
  directory_.ClearSharers(slot);
  if (context_.homes.IsMember(writer)) directory_.AddSharer(slot, writer);
  SetBackups(slot, backers);
  context_.NoteChange(entry.key, entry.version, false);
  Answer(slot, Status::kOk, Right::kShared);
}

// There is no object any more, and nobody holds anything of it.
void Home::CommitRemoval(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  const NodeId writer = TransactionOf(slot).current.from;
  TransactionOf(slot).unproven = Transaction::Unproven::kNo;
  entry.version = std::max(TransactionOf(slot).current.version, NextStamp());
  entry.content = Content::kAbsent;
  entry.exclusive = false;
  entry.owner = kNoNode;
  entry.backups = {};
  entry.demoted = false;
  directory_.ClearSharers(slot);
  if (!entry.removed) tombstones_.push_back(entry.key);
  entry.removed = true;
  context_.NoteChange(entry.key, entry.version, true);
  Answer(slot, Status::kOk);
  // Until the writer knows, nothing may follow the removal: should the home and whoever wrote next
  // fail, the writer would ask for it again, and the loss of what was written would not show.
  if (writer != context_.self) DropOld(slot, writer);
  if (tombstones_.size() <= kTombstones) return;
  const Slot oldest = directory_.table().FindSlot(tombstones_.front());
  tombstones_.pop_front();
  if (oldest == ObjectTable<DirEntry>::kNone) return;
  DirEntry& forgotten = directory_.table().at(oldest);
  if (!forgotten.removed) return;
  forgotten.removed = false;
  if (!forgotten.busy) ForgetIfNothing(oldest);
}

// Lets the linker know of the commit first.
bool Home::Export(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  if (!IsLinked(entry.key.set) || transaction.exported) return false;
  using What = LinkerWork::What;
  transaction.stamp = NextStamp();
  Wait(transaction, Phase::kLinker, {context_.self});
  context_.out.linker_works.push_back(
      {.what = transaction.current.data == nullptr ? What::kRemove : What::kExport,
       .key = entry.key,
       .token = transaction.stamp,
       .version = transaction.current.version,
       .data = transaction.current.data});
  return true;
}

// Every commit has been told to the linker before it was answered: it only has to keep it.
void Home::AdvanceSync(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  if (!IsLinked(entry.key.set)) return Answer(slot, Status::kOk);
  Transaction& transaction = TransactionOf(slot);
  transaction.stamp = NextStamp();
  Wait(transaction, Phase::kLinker, {context_.self});
  context_.out.linker_works.push_back({.what = LinkerWork::What::kSync,
                                       .key = entry.key,
                                       .token = transaction.stamp,
                                       .version = entry.version,
                                       .data = nullptr});
}

// An object of a linked set that nobody holds may be where the linker looks.
bool Home::Import(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  if (!IsLinked(entry.key.set) || entry.content != Content::kAbsent || entry.imported) return false;
  Transaction& transaction = TransactionOf(slot);
  if (transaction.imported) return false;
  transaction.stamp = NextStamp();
  Wait(transaction, Phase::kLinker, {context_.self});
  context_.out.linker_works.push_back({.what = LinkerWork::What::kImport,
                                       .key = entry.key,
                                       .token = transaction.stamp,
                                       .version = 0,
                                       .data = nullptr});
  return true;
}

void Home::LinkerDone(const ObjectKey& key, uint64_t token, bool ok, const Data& data) {
  const Slot slot = directory_.table().FindSlot(key);
  if (slot == ObjectTable<DirEntry>::kNone) return;
  Transaction* transaction = Awaiting(slot, Phase::kLinker, context_.self, token);
  if (transaction == nullptr) return;
  DirEntry& entry = directory_.table().at(slot);
  const bool put = transaction->current.want == Want::kPut;
  transaction->phase = Phase::kStart;
  if (transaction->current.want == Want::kSync) {
    Answer(slot, ok ? Status::kOk : Status::kUnavailable);
  } else if (!ok) {
    put ? FailPut(slot, Status::kUnavailable) : Answer(slot, Status::kUnavailable);
  } else if (put) {
    transaction->exported = true;
    // What is removed here may still be behind the set: `data` says so.
    entry.imported = transaction->current.data != nullptr || data == nullptr;
  } else {
    // What is not there now may be when the next one asks.
    transaction->imported = true;
    if (data != nullptr) {
      entry.imported = true;
      entry.content = Content::kData;
      entry.version = NextStamp();
      holder_.KeepForHome(key, entry.version, data);
    }
  }
  Serve(slot);
}

// Brings the value home from whoever has it.
bool Home::PullValue(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  if (entry.content != Content::kData || HasValue(entry)) return false;
  Transaction& transaction = TransactionOf(slot);
  std::vector<NodeId> sources = directory_.Sharers(slot);
  for (const NodeId node : entry.backups.list()) sources.push_back(node);
  if (entry.exclusive) sources.push_back(entry.owner);
  for (const NodeId node : sources) {
    if (Contains(transaction.unable, node) || !context_.homes.IsMember(node)) continue;
    transaction.unable.push_back(node);
    transaction.stamp = NextStamp();
    Message pull{.kind = Kind::kPull, .key = entry.key, .stamp = transaction.stamp};
    pull.version = entry.version;
    Wait(transaction, Phase::kPull, {node});
    context_.Send(node, std::move(pull));
    return true;
  }
  transaction.unable.clear();
  if (entry.exclusive) return false;  // the owner will bring it
  entry.imported = false;
  if (IsLinked(entry.key.set)) {
    entry.content = Content::kAbsent;
    transaction.imported = false;
    return Import(slot);
  }
  entry.content = Content::kLost;
  if (transaction.current.want != Want::kRepair) QueueRepair(slot);
  return false;
}

void Home::OnPulled(NodeId from, const Message& message, Slot slot) {
  Transaction* transaction = Awaiting(slot, Phase::kPull, from, message.stamp);
  if (transaction == nullptr) return;
  if (message.data != nullptr) {
    holder_.KeepForHome(message.key, message.version, message.data);
    transaction->unable.clear();
  }
  Restart(slot);
}

}  // namespace clustix::kddm
