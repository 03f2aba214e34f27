// SPDX-License-Identifier: Apache-2.0
//
// When the memory of an object's older versions can be used again: once no client's pin names it.
// Blocks are gathered, and then judged all at once, because the fence that must come between taking
// a block out of the index and looking at the pins costs as much for one block as for all. The
// daemon's cache thread.
#ifndef CLUSTIX_LIB_CACHE_RECLAIMER_H_
#define CLUSTIX_LIB_CACHE_RECLAIMER_H_

#include <cstdint>
#include <vector>

#include "lib/cache/arena.h"
#include "lib/cache/barrier.h"
#include "lib/cache/host_region.h"
#include "lib/cache/layout.h"

namespace clustix::cache {

struct ReclaimerStats {
  uint64_t retired_blocks = 0;  // that wait now
  uint64_t retired_bytes = 0;   // of these objects
  uint64_t pinned_blocks = 0;   // of these, those that were pinned when it was looked last
  uint64_t collections = 0;
};

class Reclaimer {
 public:
  explicit Reclaimer(HeavyFence fence) : fence_(fence) {}

  void AddRegion(const HostRegion* region) { regions_.push_back(region); }
  // Its client is gone, or as good as gone: what it pinned, it pins no more.
  void RemoveRegion(const HostRegion* region);

  // `place` stands in no index any more. It is freed at the end of some collection.
  void Retire(Arena* arena, Place place);
  // Whether so much waits that a collection is worth its price.
  bool Due() const { return retired_.size() >= due_at_ || stats_.retired_bytes >= due_at_bytes_; }
  // Frees what nobody pins. A fence of about 1 us, and a look at each pin slot of each client.
  void Collect();
  // The arena goes as a whole.
  void Forget(const Arena* arena);

  const ReclaimerStats& stats() const { return stats_; }

 private:
  struct Retired {
    Arena* arena;
    Place place;
  };

  static constexpr uint64_t kDueBlocks = 256;
  static constexpr uint64_t kDueBytes = 4 << 20;

  HeavyFence fence_;
  std::vector<const HostRegion*> regions_;
  std::vector<Retired> retired_;
  std::vector<uint64_t> pins_;  // of the last collection; kept for its memory
  uint64_t due_at_ = kDueBlocks;
  uint64_t due_at_bytes_ = kDueBytes;
  ReclaimerStats stats_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_RECLAIMER_H_
