// SPDX-License-Identifier: Apache-2.0
//
// Which objects of a set are cached, and where: the table that clients look into, and its growth.
// The daemon's own look-ups use it too; there is no second copy. The daemon's cache thread.
#ifndef CLUSTIX_LIB_CACHE_INDEX_H_
#define CLUSTIX_LIB_CACHE_INDEX_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "lib/cache/arena.h"
#include "lib/cache/layout.h"
#include "lib/cache/table.h"

namespace clustix::cache {

class Index {
 public:
  // An empty index in `arena`, which must live as long.
  static absl::StatusOr<Index> Create(Arena* arena);

  std::optional<IndexEntry> Find(uint64_t id) const { return table_.Find(id); }
  // Puts `entry` in, for that of the same id if there is one: then that one's place is returned,
  // else an empty one. kResourceExhausted: there is no room for a larger table, or so many ids
  // share their buckets that none helps. O(1); O(size) when the table grows, which doubles it.
  absl::StatusOr<Place> Set(const IndexEntry& entry);
  // The place that is in nobody's use now, but for readers that have found it before; empty: the
  // object was not there.
  Place Remove(uint64_t id);
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    table_.ForEach(visit);
  }

  uint64_t size() const { return size_; }
  uint64_t table_bytes() const { return root_.buckets() * sizeof(Bucket); }

 private:
  Index(Arena* arena, TableRoot root, Table table) : arena_(arena), root_(root), table_(table) {}
  static Table TableAt(const Arena& arena, TableRoot root);
  absl::Status Grow();

  Arena* arena_;
  TableRoot root_;
  Table table_;
  uint64_t size_ = 0;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_INDEX_H_
