// SPDX-License-Identifier: Apache-2.0
//
// The daemon's node page as a client maps it. Any thread, once mapped.
#ifndef CLUSTIX_LIB_CACHE_NODE_VIEW_H_
#define CLUSTIX_LIB_CACHE_NODE_VIEW_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lib/cache/barrier.h"
#include "lib/cache/lease.h"
#include "lib/cache/shared_memory.h"

namespace clustix::cache {

class NodeView {
 public:
  // Registers this process for the daemon's fences, too. kInvalidArgument: it is no node page, or
  // of another layout.
  static absl::StatusOr<std::unique_ptr<NodeView>> Map(const base::UniqueFd& fd);

  const NodePage& page() const { return *reinterpret_cast<const NodePage*>(mapping_.data()); }
  bool LeaseHolds() const { return cache::LeaseHolds(page()); }
  LightFence fence() const { return fence_; }

 private:
  NodeView(Mapping mapping, LightFence fence) : mapping_(std::move(mapping)), fence_(fence) {}
  Mapping mapping_;
  LightFence fence_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_NODE_VIEW_H_
