// SPDX-License-Identifier: Apache-2.0
//
// Who of this client's threads uses which part of its staging area: buffers for objects that are
// being written. Which parts are taken is known to this process alone; the daemon needs only the
// offsets. Any thread.
#ifndef CLUSTIX_LIB_CACHE_STAGING_H_
#define CLUSTIX_LIB_CACHE_STAGING_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "lib/cache/layout.h"

namespace clustix::cache {

class Staging {
 public:
  // The offset of a buffer of `bytes`, 1 to kObjectBytesMax, before `end`, a multiple of
  // kStagingUnitBytes; nothing: too much is taken.
  std::optional<uint32_t> Take(uint32_t bytes, uint32_t end = kStagingBytes);
  void Give(uint32_t offset, uint32_t bytes);

 private:
  std::atomic<uint64_t> taken_{0};  // a bit per unit of kStagingUnitBytes
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_STAGING_H_
