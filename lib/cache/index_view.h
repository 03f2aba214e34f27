// SPDX-License-Identifier: Apache-2.0
//
// The index as a client reads it: no lock, no system call, and no promise about what is found until
// StillHolds() has said so. Any thread.
#ifndef CLUSTIX_LIB_CACHE_INDEX_VIEW_H_
#define CLUSTIX_LIB_CACHE_INDEX_VIEW_H_

#include <cstdint>

#include "lib/cache/layout.h"

namespace clustix::cache {

// What was found, and under which state of the index.
struct Finding {
  Place place;
  uint64_t object_version = 0;
  const Bucket* bucket = nullptr;
  uint64_t sequence = 0;
  uint64_t root = 0;
};

class IndexView {
 public:
  explicit IndexView(const std::byte* arena)
      : arena_(arena),
        header_(reinterpret_cast<const ArenaHeader*>(arena)),
        seed_(header_->hash_seed),
        arena_bytes_(header_->arena_bytes) {}

  // False: the object is not cached, or just moves within the index, which is rare: who asks the
  // daemon is told the truth.
  bool Find(uint64_t id, Finding* finding) const {
    const auto root = TableRoot::FromWord(header_->root.load(std::memory_order_acquire));
    const BucketPair pair = BucketsOf(id, seed_, root.mask());
    const auto* buckets = reinterpret_cast<const Bucket*>(arena_ + root.offset());
    finding->root = root.word();
    return FindIn(buckets[pair.first], id, finding) || FindIn(buckets[pair.second], id, finding);
  }

  // Whether the object was there, and its bytes unchanged, from Find() until all that this thread
  // has loaded before. The read half of the sequence lock in Table::Store().
  bool StillHolds(const Finding& finding) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return (finding.sequence & 1) == 0 &&
           finding.bucket->sequence.load(std::memory_order_relaxed) == finding.sequence &&
           header_->root.load(std::memory_order_relaxed) == finding.root;
  }

  // Whether the bytes can be looked at. They always can if the finding holds; if it does not, the
  // place may be anything.
  bool Within(Place place) const { return place.offset() + place.bytes() <= arena_bytes_; }
  const std::byte* At(Place place) const { return arena_ + place.offset(); }
  uint32_t arena() const { return header_->arena; }

 private:
  static bool FindIn(const Bucket& bucket, uint64_t id, Finding* finding) {
    const uint64_t sequence = bucket.sequence.load(std::memory_order_acquire);
    for (const Entry& entry : bucket.entries) {
      if (entry.id.load(std::memory_order_relaxed) != id) continue;
      const auto place = Place::FromWord(entry.place.load(std::memory_order_relaxed));
      if (place.empty()) continue;
      finding->place = place;
      finding->object_version = entry.object_version.load(std::memory_order_relaxed);
      finding->bucket = &bucket;
      finding->sequence = sequence;
      return true;
    }
    return false;
  }

  const std::byte* arena_;
  const ArenaHeader* header_;
  uint64_t seed_;
  uint64_t arena_bytes_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_INDEX_VIEW_H_
