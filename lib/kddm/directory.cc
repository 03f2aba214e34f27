// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/directory.h"

#include <algorithm>

namespace clustix::kddm {

void Directory::AddSharer(Slot slot, NodeId node) {
  DirEntry& entry = table_.at(slot);
  if (HasSharer(slot, node)) return;
  if (!entry.many) {
    const auto free = std::find(entry.sharers.begin(), entry.sharers.end(), kNoNode);
    if (free != entry.sharers.end()) {
      *free = node;
      return;
    }
    Bitmap& bitmap = many_[slot];
    bitmap.assign(kNodesMax + 1, false);
    for (const NodeId sharer : entry.sharers) bitmap[sharer] = true;
    entry.sharers.fill(kNoNode);
    entry.many = true;
  }
  many_[slot][node] = true;
}

void Directory::RemoveSharer(Slot slot, NodeId node) {
  DirEntry& entry = table_.at(slot);
  if (entry.many) {
    many_[slot][node] = false;
  } else {
    std::replace(entry.sharers.begin(), entry.sharers.end(), node, kNoNode);
  }
}

bool Directory::HasSharer(Slot slot, NodeId node) const {
  const DirEntry& entry = table_.at(slot);
  if (entry.many) return many_.at(slot)[node];
  return std::find(entry.sharers.begin(), entry.sharers.end(), node) != entry.sharers.end();
}

void Directory::ClearSharers(Slot slot) {
  DirEntry& entry = table_.at(slot);
  if (entry.many) many_.erase(slot);
  entry.many = false;
  entry.sharers.fill(kNoNode);
}

std::vector<NodeId> Directory::Sharers(Slot slot) const {
  const DirEntry& entry = table_.at(slot);
  std::vector<NodeId> all;
  if (entry.many) {
    const Bitmap& bitmap = many_.at(slot);
    for (size_t node = 0; node < bitmap.size(); ++node) {
      if (bitmap[node]) all.push_back(static_cast<NodeId>(node));
    }
  } else {
    for (const NodeId node : entry.sharers) {
      if (node != kNoNode) all.push_back(node);
    }
  }
  return all;
}

void Directory::Erase(Slot slot) {
  ClearSharers(slot);
  table_.Erase(table_.at(slot).key);
}

}  // namespace clustix::kddm
