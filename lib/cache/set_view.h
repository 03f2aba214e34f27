// SPDX-License-Identifier: Apache-2.0
//
// A set's arena as a client maps it, read-only. Any thread, once mapped.
#ifndef CLUSTIX_LIB_CACHE_SET_VIEW_H_
#define CLUSTIX_LIB_CACHE_SET_VIEW_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lib/cache/index_view.h"
#include "lib/cache/shared_memory.h"

namespace clustix::cache {

class SetView {
 public:
  // kInvalidArgument: it is no arena, or of another layout.
  static absl::StatusOr<std::unique_ptr<SetView>> Map(const base::UniqueFd& fd);

  const IndexView& index() const { return index_; }

 private:
  explicit SetView(Mapping mapping) : mapping_(std::move(mapping)), index_(mapping_.data()) {}
  Mapping mapping_;
  IndexView index_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_SET_VIEW_H_
