// SPDX-License-Identifier: Apache-2.0
//
// Copies that their nodes want to be rid of, the home's own among them. docs/KDDM.md, "Room".
#include <algorithm>
#include <utility>

#include "lib/kddm/home.h"
#include "lib/kddm/limits.h"

namespace clustix::kddm {
// Whether the home may do without its own copy while nothing goes on: the value is brought back
// before anything else is done with the object.
bool Home::IsSpare(Slot slot) const {
  const DirEntry& entry = directory_.table().at(slot);
  if (entry.exclusive || entry.demoted || entry.content != Content::kData) return false;
  return entry.backups.size() > BackersWanted(entry.key);
}

size_t Home::ValueBytes(Slot slot) {
  const DirEntry& entry = directory_.table().at(slot);
  const Data& put = TransactionOf(slot).current.data;
  const Data value = put != nullptr ? put : holder_.Peek(entry.key, entry.version);
  return value == nullptr ? 0 : value->size();
}

// A node wants to be rid of its copy: sees to it that the object has its copies without that. When
// it is told so, the copy is but one that it has read, or the home has it dropped.
void Home::AdvanceYield(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  Transaction& transaction = TransactionOf(slot);
  const NodeId from = transaction.current.from;
  const bool owns = entry.exclusive && entry.owner == from && from != kNoNode;
  if (owns) TakeYielded(slot);
  if (entry.exclusive || entry.content != Content::kData) return Answer(slot, Status::kNoSpace);
  if (PullValue(slot)) return;
  if (entry.content != Content::kData) return Answer(slot, Status::kNoSpace);
  const bool own = from == context_.self;
  if (!own && !entry.backups.Has(from)) return Answer(slot, Status::kOk);
  transaction.away = own || !holder_.MakeRoom(1);
  const size_t bytes = ValueBytes(slot);
  auto exclude = [&](NodeId node) {
    if (!Contains(transaction.unable, node)) transaction.unable.push_back(node);
  };
  if (!own) exclude(from);
  for (const NodeId node : context_.homes.members()) {
    const bool has = entry.backups.Has(node) || Contains(transaction.holding, node);
    if (!has && !context_.MayHaveRoom(node, bytes)) exclude(node);
  }
  const bool enough = Backers(slot, kNoNode, transaction.unable).size() >= BackersWanted(slot);
  if (!enough || transaction.refusals >= kYieldChances) return StayAsItWas(slot);
  if (BackUp(slot, kNoNode, entry.version, nullptr)) return;
  Answer(slot, Status::kOk);
}

// The owner has made itself a reader, and what it had stays there for the time being.
void Home::TakeYielded(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  const Request& current = TransactionOf(slot).current;
  entry.exclusive = false;
  entry.owner = kNoNode;
  directory_.AddSharer(slot, current.from);
  if (IsVolatile(entry.key.set)) {
    entry.version = current.version;
    entry.content = Content::kData;
    entry.backups = {};
    entry.demoted = false;
  }
  const bool counts = IsVolatile(entry.key.set) || BackersWanted(entry.key) > 0;
  if (current.from != context_.self && counts) entry.backups.Add(current.from);
}

// Nobody has room for the copy.
void Home::StayAsItWas(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  for (const NodeId node : std::exchange(TransactionOf(slot).holding, {})) {
    if (!entry.backups.Has(node) && !directory_.HasSharer(slot, node)) DropOld(slot, node);
  }
  Answer(slot, Status::kNoSpace);
}

// The value of a volatile object is here, and leaves for its next owner: from now on nobody else is
// to keep it.
void Home::LeaveVolatileBackups(Slot slot) {
  DirEntry& entry = directory_.table().at(slot);
  const NodeId writer = TransactionOf(slot).current.from;
  for (const NodeId node : entry.backups.list()) {
    entry.backups.Remove(node);
    if (node != writer && !directory_.HasSharer(slot, node)) DropOld(slot, node);
  }
}

}  // namespace clustix::kddm
