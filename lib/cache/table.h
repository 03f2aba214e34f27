// SPDX-License-Identifier: Apache-2.0
//
// One table of an index, as the daemon writes it: buckets of two entries, two buckets that an
// object may stand in. Clients read it meanwhile, under each bucket's sequence lock, and never see
// an object vanish that is only moved: it is copied first and freed then. The daemon's cache
// thread.
#ifndef CLUSTIX_LIB_CACHE_TABLE_H_
#define CLUSTIX_LIB_CACHE_TABLE_H_

#include <cstdint>
#include <optional>

#include "lib/cache/layout.h"

namespace clustix::cache {

struct IndexEntry {
  uint64_t id = 0;
  Place place;
  uint64_t object_version = 0;
};

class Table {
 public:
  Table(Bucket* buckets, unsigned log2_buckets, uint64_t seed)
      : buckets_(buckets), mask_((uint64_t{1} << log2_buckets) - 1), seed_(seed) {}
  // All entries free. Before clients know of the table, or once it has been taken from them.
  void Clear();

  std::optional<IndexEntry> Find(uint64_t id) const;
  // False: it is not there.
  bool Replace(const IndexEntry& entry);
  // False: no room could be made. `entry.id` is not there yet.
  bool Insert(const IndexEntry& entry);
  // False: it is not there.
  bool Remove(uint64_t id);
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    for (uint64_t bucket = 0; bucket <= mask_; ++bucket) {
      for (unsigned i = 0; i < kBucketEntries; ++i) {
        const IndexEntry entry = Load({bucket, i});
        if (!entry.place.empty()) visit(entry);
      }
    }
  }
  uint64_t capacity() const { return (mask_ + 1) * kBucketEntries; }

 private:
  struct Position {
    uint64_t bucket;
    unsigned entry;
  };

  IndexEntry Load(Position at) const;
  void Store(Position at, const IndexEntry& entry);
  std::optional<Position> PositionOf(uint64_t id) const;
  std::optional<Position> FreeIn(uint64_t bucket) const;
  std::optional<Position> MakeRoom(BucketPair home);

  Bucket* buckets_;
  uint64_t mask_;
  uint64_t seed_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_TABLE_H_
