// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/staging.h"

#include <bit>
#include <cassert>

namespace clustix::cache {
namespace {

uint64_t UnitBits(uint32_t bytes) {
  const uint64_t units = (bytes + kStagingUnitBytes - 1) / kStagingUnitBytes;
  return (uint64_t{1} << units) - 1;
}
static_assert(kObjectBytesMax / kStagingUnitBytes < 64);

// The first of as many free units in a row, of `units`, as `wanted` has bits; 64: there are none.
int FirstFit(uint64_t taken, uint64_t wanted, int units) {
  const int last = units - std::bit_width(wanted);
  for (int first = 0; first <= last; ++first) {
    if ((taken >> first & wanted) == 0) return first;
  }
  return 64;
}

}  // namespace

std::optional<uint32_t> Staging::Take(uint32_t bytes, uint32_t end) {
  assert(bytes >= 1 && bytes <= kObjectBytesMax);
  const uint64_t wanted = UnitBits(bytes);
  uint64_t taken = taken_.load(std::memory_order_relaxed);
  for (;;) {
    const int first = FirstFit(taken, wanted, static_cast<int>(end / kStagingUnitBytes));
    if (first == 64) return std::nullopt;
    if (taken_.compare_exchange_weak(taken, taken | wanted << first, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      return static_cast<uint32_t>(first * kStagingUnitBytes);
    }
  }
}

void Staging::Give(uint32_t offset, uint32_t bytes) {
  taken_.fetch_and(~(UnitBits(bytes) << (offset / kStagingUnitBytes)), std::memory_order_release);
}

}  // namespace clustix::cache
