// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/set_view.h"

#include <utility>

#include "lib/base/status.h"
#include "lib/cache/layout.h"

namespace clustix::cache {

absl::StatusOr<std::unique_ptr<SetView>> SetView::Map(const base::UniqueFd& fd) {
  uint64_t bytes = 0;
  {
    ASSIGN_OR_RETURN(Mapping first, Mapping::Map(fd, kPageBytes, Access::kRead));
    const auto* header = reinterpret_cast<const ArenaHeader*>(first.data());
    if (header->magic != kArenaMagic || header->version != kLayoutVersion) {
      return absl::InvalidArgumentError(
          "the daemon's shared memory has another layout than this program knows (both must be of "
          "one version of Clustix)");
    }
    bytes = header->arena_bytes;
  }
  ASSIGN_OR_RETURN(Mapping mapping, Mapping::Map(fd, bytes, Access::kRead));
  return std::unique_ptr<SetView>(new SetView(std::move(mapping)));
}

}  // namespace clustix::cache
