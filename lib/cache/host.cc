// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/host.h"

#include <algorithm>
#include <utility>

#include "lib/base/status.h"
#include "lib/base/system_random.h"

namespace clustix::cache {

absl::StatusOr<std::unique_ptr<Host>> Host::Create(const Options& options) {
  ASSIGN_OR_RETURN(SharedMemory node,
                   SharedMemory::Create("clustix-node", kPageBytes, Access::kRead));
  RETURN_IF_ERROR(node.Reserve(0, kPageBytes));
  const HeavyFence fence(options.allow_membarrier);
  auto* page = reinterpret_cast<NodePage*>(node.data());
  page->magic = kNodeMagic;
  page->version = kLayoutVersion;
  page->fence = fence.kind();
  page->clock = options.clock;
  return std::unique_ptr<Host>(new Host(std::move(node), fence, options.clock));
}

Host::Host(SharedMemory node, HeavyFence fence, LeaseClockKind clock)
    : node_(std::move(node)), lease_(page(), clock), fence_(fence), reclaimer_(fence) {}

// Numbers are not used again: a pin that a client has kept from a set that is gone names nothing.
absl::StatusOr<std::unique_ptr<ObjectStore>> Host::CreateSet(const std::string& name,
                                                             uint64_t bytes) {
  if (next_arena_ >> kArenaIdBits != 0) {
    return absl::ResourceExhaustedError("this daemon has made as many sets as it can number");
  }
  return ObjectStore::Create(
      {.name = name, .arena = next_arena_++, .bytes = bytes, .hash_seed = base::RandomId()},
      &reclaimer_);
}

absl::StatusOr<HostRegion*> Host::Attach() {
  ASSIGN_OR_RETURN(std::unique_ptr<HostRegion> region, HostRegion::Create());
  regions_.push_back(std::move(region));
  reclaimer_.AddRegion(regions_.back().get());
  return regions_.back().get();
}

void Host::Detach(HostRegion* region) {
  reclaimer_.RemoveRegion(region);
  std::erase_if(regions_, [region](const auto& other) { return other.get() == region; });
}

bool Host::PrepareToSleep() {
  page()->daemon_sleeps.store(1, std::memory_order_relaxed);
  // A client pushes its request and then looks whether we sleep; we say that we sleep and then look
  // for requests. One of us sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const bool news = std::any_of(regions_.begin(), regions_.end(),
                                [](const auto& region) { return region->HasRequests(); });
  if (news) Awake();
  return !news;
}

void Host::Awake() { page()->daemon_sleeps.store(0, std::memory_order_relaxed); }

}  // namespace clustix::cache
