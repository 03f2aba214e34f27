// SPDX-License-Identifier: Apache-2.0
//
// The daemon's side of a node's cache: the node page, the sets, the clients that are attached, and
// the memory that waits for their pins. Wiring of the parts; what a request means is the daemon's.
// All of it belongs to the daemon's cache thread.
#ifndef CLUSTIX_LIB_CACHE_HOST_H_
#define CLUSTIX_LIB_CACHE_HOST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/cache/host_region.h"
#include "lib/cache/lease.h"
#include "lib/cache/object_store.h"
#include "lib/cache/reclaimer.h"
#include "lib/cache/shared_memory.h"

namespace clustix::cache {

class Host {
 public:
  struct Options {
    LeaseClockKind clock = Lease::BestClock();
    bool allow_membarrier = true;  // false: as if the kernel refused
  };
  static absl::StatusOr<std::unique_ptr<Host>> Create(const Options& options);
  static absl::StatusOr<std::unique_ptr<Host>> Create() { return Create(Options()); }

  const base::UniqueFd& node_fd_for_clients() const { return node_.fd_for_others(); }
  Lease& lease() { return lease_; }

  // A set with a budget of `bytes`, kArenaBytesMin to kArenaBytesMax. The store must not outlive
  // this. kResourceExhausted: there are 2^28 sets already, or no memory.
  absl::StatusOr<std::unique_ptr<ObjectStore>> CreateSet(const std::string& name, uint64_t bytes);

  absl::StatusOr<HostRegion*> Attach();
  // The client is gone, or has broken its region: its pins count no more. Unmaps the region, so a
  // Lender seizes before what it has lent there.
  void Detach(HostRegion* region);
  const std::vector<std::unique_ptr<HostRegion>>& regions() const { return regions_; }

  // Around the sleep of the thread that serves the clients: 1. PrepareToSleep(); 2. sleep, if it
  // returned true, until a bell rings; 3. Awake(). False: there are requests already.
  bool PrepareToSleep();
  void Awake();

  Reclaimer& reclaimer() { return reclaimer_; }
  HeavyFence fence() const { return fence_; }

 private:
  Host(SharedMemory node, HeavyFence fence, LeaseClockKind clock);
  NodePage* page() const { return reinterpret_cast<NodePage*>(node_.data()); }

  SharedMemory node_;
  Lease lease_;
  HeavyFence fence_;
  Reclaimer reclaimer_;
  std::vector<std::unique_ptr<HostRegion>> regions_;
  uint32_t next_arena_ = 0;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_HOST_H_
