// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/reclaimer.h"

#include <algorithm>

namespace clustix::cache {

void Reclaimer::RemoveRegion(const HostRegion* region) { std::erase(regions_, region); }

void Reclaimer::Retire(Arena* arena, Place place) {
  retired_.push_back({arena, place});
  ++stats_.retired_blocks;
  stats_.retired_bytes += place.bytes();
}

// A client that writes nonsense into its slots holds back blocks that it could have pinned anyway.
void Reclaimer::Collect() {
  if (retired_.empty()) return;
  ++stats_.collections;
  fence_.Pass();
  pins_.clear();
  for (const HostRegion* region : regions_) region->CollectPins(&pins_);
  std::sort(pins_.begin(), pins_.end());
  std::erase_if(retired_, [this](const Retired& retired) {
    const uint64_t name = PinName(retired.arena->id(), retired.place);
    if (std::binary_search(pins_.begin(), pins_.end(), name)) return false;
    retired.arena->Free(retired.place);
    stats_.retired_bytes -= retired.place.bytes();
    return true;
  });
  stats_.retired_blocks = stats_.pinned_blocks = retired_.size();
  // What is pinned now would be found pinned at once again.
  due_at_ = retired_.size() + kDueBlocks;
  due_at_bytes_ = stats_.retired_bytes + kDueBytes;
}

void Reclaimer::Forget(const Arena* arena) {
  std::erase_if(retired_, [this, arena](const Retired& retired) {
    if (retired.arena != arena) return false;
    stats_.retired_bytes -= retired.place.bytes();
    return true;
  });
  stats_.retired_blocks = retired_.size();
  stats_.pinned_blocks = std::min(stats_.pinned_blocks, stats_.retired_blocks);
}

}  // namespace clustix::cache
