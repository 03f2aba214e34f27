// SPDX-License-Identifier: Apache-2.0
//
// The sizes in which an arena hands out blocks: steps of 16 bytes up to 128, then four to each
// doubling up to 1 MiB, so that at most a fifth of a block is unused above 64 bytes. And of how
// many pages the span is that is cut into blocks of one class. Pure; any thread.
#ifndef CLUSTIX_LIB_CACHE_SIZE_CLASS_H_
#define CLUSTIX_LIB_CACHE_SIZE_CLASS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "lib/cache/layout.h"

namespace clustix::cache {

inline constexpr unsigned kFineClasses = 8;  // 16, 32, ... 128
inline constexpr unsigned kClasses = kFineClasses + 4 * 13;

constexpr uint32_t ClassBytes(unsigned size_class) {
  if (size_class < kFineClasses) return (size_class + 1) * 16;
  const unsigned beyond = size_class - kFineClasses;
  return uint32_t{32 * (5 + beyond % 4)} << (beyond / 4);
}

// The smallest class that holds `bytes`, 1 to kObjectBytesMax.
constexpr unsigned ClassOf(uint32_t bytes) {
  if (bytes <= 128) return (bytes - 1) / 16;
  const unsigned doubling = std::bit_width(bytes - 1) - 8;  // 0: up to 256
  return kFineClasses + 4 * doubling + ((bytes - 1) >> (doubling + 5)) - 4;
}

// Most blocks that a span has: one page of the smallest class.
inline constexpr unsigned kSpanBlocksMax = kPageBytes / kBlockAlign;

// The fewest pages of which at most an eighth is left over.
constexpr uint32_t SpanPages(unsigned size_class) {
  const uint32_t bytes = ClassBytes(size_class);
  for (uint32_t pages = 1;; ++pages) {
    const auto span = static_cast<uint32_t>(pages * kPageBytes);
    if (span >= bytes && span % bytes <= span / 8) return pages;
  }
}

static_assert(ClassBytes(kClasses - 1) == kObjectBytesMax);
static_assert(ClassOf(kObjectBytesMax) == kClasses - 1 && ClassOf(1) == 0);
static_assert(ClassBytes(ClassOf(129)) == 160 && ClassBytes(ClassOf(256)) == 256);

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_SIZE_CLASS_H_
