// SPDX-License-Identifier: Apache-2.0
//
// The memory of one set: blocks for its objects and pages for its index, in a memfd that clients
// map read-only. The daemon alone allocates; what is free stands in its own heap, out of
// everybody's reach. An arena has a budget, and takes memory only as it is used.
//
// Freeing a block means that nobody reads it any more: a Reclaimer knows when that is. The daemon's
// cache thread.
#ifndef CLUSTIX_LIB_CACHE_ARENA_H_
#define CLUSTIX_LIB_CACHE_ARENA_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/cache/layout.h"
#include "lib/cache/page_runs.h"
#include "lib/cache/shared_memory.h"
#include "lib/cache/size_class.h"

namespace clustix::cache {

struct ArenaStats {
  uint64_t budget_bytes = 0;
  uint64_t taken_bytes = 0;  // of the machine's memory; given back only with the arena
  uint64_t block_bytes = 0;  // in blocks that are not free, by the sizes of their classes
  uint64_t page_bytes = 0;   // in pages for the index
  uint64_t blocks = 0;
};

class Arena {
 public:
  struct Options {
    std::string name;        // shows in /proc/PID/maps
    uint32_t arena = 0;      // number on this node; fits kArenaIdBits
    uint64_t bytes = 0;      // the budget, from kArenaBytesMin to kArenaBytesMax
    uint64_t hash_seed = 0;  // of the index
  };
  static absl::StatusOr<std::unique_ptr<Arena>> Create(const Options& options);

  // `bytes` from 1 to kObjectBytesMax. kResourceExhausted: the budget, or the machine's memory, is
  // used up. O(1) but when a span begins.
  absl::StatusOr<Place> Allocate(uint32_t bytes);
  void Free(Place place);
  // The offset of pages with any content; for the index.
  absl::StatusOr<uint64_t> AllocatePages(uint64_t count);
  void FreePages(uint64_t offset, uint64_t count);

  uint32_t id() const { return id_; }
  const base::UniqueFd& fd_for_clients() const { return memory_.fd_for_others(); }
  ArenaHeader* header() const { return reinterpret_cast<ArenaHeader*>(memory_.data()); }
  std::byte* At(uint64_t offset) const { return memory_.data() + offset; }
  ArenaStats stats() const;

 private:
  using SpanId = uint32_t;
  static constexpr SpanId kNoSpan = 0;

  // Pages cut into blocks of one class. In the list of its class while it has a free block.
  struct Span {
    std::array<uint64_t, kSpanBlocksMax / 64> free;  // a bit per block
    uint32_t first_page;
    SpanId next, previous;
    uint16_t free_blocks;
    uint16_t blocks;
    uint8_t size_class;
  };

  Arena(SharedMemory memory, uint32_t id);
  absl::StatusOr<uint64_t> TakePages(uint64_t count);
  absl::Status Grow(uint64_t pages);
  absl::StatusOr<SpanId> NewSpan(unsigned size_class);
  void GiveSpan(SpanId id);
  bool GiveEmptySpans();
  void Link(SpanId id);
  void Unlink(SpanId id);

  SharedMemory memory_;
  const uint32_t id_;
  PageRuns runs_;
  uint64_t taken_pages_ = 0;
  std::vector<Span> spans_;  // [0] is nobody's
  std::vector<SpanId> unused_span_ids_;
  std::vector<SpanId> span_of_page_;
  std::array<SpanId, kClasses> with_room_{};
  ArenaStats stats_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_ARENA_H_
