// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/node_view.h"

#include <utility>

#include "lib/base/status.h"

namespace clustix::cache {

absl::StatusOr<std::unique_ptr<NodeView>> NodeView::Map(const base::UniqueFd& fd) {
  ASSIGN_OR_RETURN(Mapping mapping, Mapping::Map(fd, sizeof(NodePage), Access::kRead));
  const auto* page = reinterpret_cast<const NodePage*>(mapping.data());
  if (page->magic != kNodeMagic || page->version != kLayoutVersion) {
    return absl::InvalidArgumentError(
        "the daemon's shared memory has another layout than this program knows (both must be of "
        "one "
        "version of Clustix)");
  }
  const LightFence fence = LightFence::Register(page->fence);
  return std::unique_ptr<NodeView>(new NodeView(std::move(mapping), fence));
}

}  // namespace clustix::cache
