// SPDX-License-Identifier: Apache-2.0
//
// What a home knows of each object: who has it. An entry is 48 bytes, so that with its share of the
// index an object costs its home less than 64. Up to five sharers stand in the entry; more go to a
// bitmap beside the table. One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_DIRECTORY_H_
#define CLUSTIX_LIB_KDDM_DIRECTORY_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/kddm/ids.h"
#include "lib/kddm/limits.h"
#include "lib/kddm/message.h"
#include "lib/kddm/object_table.h"

namespace clustix::kddm {

// At most `kMax` nodes, in the order in which they came.
template <size_t kMax>
struct NodeList {
  std::array<NodeId, kMax> nodes = {};

  bool Has(NodeId node) const { return std::find(nodes.begin(), nodes.end(), node) != nodes.end(); }
  bool Add(NodeId node) {  // false: full
    if (Has(node)) return true;
    const auto free = std::find(nodes.begin(), nodes.end(), kNoNode);
    if (free == nodes.end()) return false;
    *free = node;
    return true;
  }
  void Remove(NodeId node) {
    const auto kept = std::remove(nodes.begin(), nodes.end(), node);
    std::fill(kept, nodes.end(), kNoNode);
  }
  size_t size() const {
    return nodes.size() - static_cast<size_t>(std::count(nodes.begin(), nodes.end(), kNoNode));
  }
  std::vector<NodeId> list() const {
    return {nodes.begin(), nodes.begin() + std::ptrdiff_t(size())};
  }
};

struct DirEntry {
  static constexpr size_t kInlineSharers = 5;

  ObjectKey key;
  Version version = 0;     // committed; of a volatile object: when the home last had it
  NodeId owner = kNoNode;  // of the exclusive copy, if there is one
  Content content : 2 = Content::kAbsent;
  // `owner` has it exclusively. Otherwise the home has the value, or is about to pull it.
  bool exclusive : 1 = false;
  bool busy : 1 = false;      // a transaction works on it: see Home
  bool demoted : 1 = false;   // the backups hold it for the case that a grant was lost
  bool imported : 1 = false;  // of a linked set: the linker has been asked
  bool removed : 1 = false;   // a tombstone
  bool many : 1 = false;      // the sharers are in a bitmap
  // Of an exclusive object: the backups may not know which of them the owner's commit will need.
  bool unsure : 1 = false;
  // Of an exclusive object: its owner had no copy that counts, and the grant may still be on its
  // way. So it is not known to have one.
  bool in_transit : 1 = false;
  bool vague : 1 = false;  // more nodes are dropping old copies than fit: see Home::DropOld
  // Hold the value beside the home and the exclusive owner; as many as the set wants copies, if the
  // home is to be without.
  NodeList<kCopiesMax> backups;
  NodeList<2> dropping;  // told to drop an old copy; may have it until they answer
  std::array<NodeId, kInlineSharers> sharers = {};  // kNoNode: free
};
static_assert(sizeof(DirEntry) == 48);

class Directory {
 public:
  using Slot = ObjectTable<DirEntry>::Slot;

  ObjectTable<DirEntry>& table() { return table_; }
  const ObjectTable<DirEntry>& table() const { return table_; }

  // Sharers may have a readable copy; who drops one silently stays listed until the next write.
  void AddSharer(Slot slot, NodeId node);
  void RemoveSharer(Slot slot, NodeId node);
  bool HasSharer(Slot slot, NodeId node) const;
  void ClearSharers(Slot slot);
  std::vector<NodeId> Sharers(Slot slot) const;  // ascending when many, else as they came
  void Erase(Slot slot);

 private:
  using Bitmap = std::vector<bool>;
  ObjectTable<DirEntry> table_;
  absl::flat_hash_map<Slot, Bitmap> many_;  // never walked: its order is not reproducible
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_DIRECTORY_H_
