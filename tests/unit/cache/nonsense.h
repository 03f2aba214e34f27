// SPDX-License-Identifier: Apache-2.0
//
// What a broken or hostile client might write into a word of shared memory. Any thread.
#ifndef CLUSTIX_TESTS_UNIT_CACHE_NONSENSE_H_
#define CLUSTIX_TESTS_UNIT_CACHE_NONSENSE_H_

#include <atomic>
#include <cstdint>

#include "lib/base/prng.h"

namespace clustix {

// Near what is right, a small number, a place and a size in either order, at a limit, or anything.
inline uint64_t Nonsense(base::Prng& prng, uint64_t now) {
  switch (prng.Below(6)) {
    case 0:
      return now + 1;
    case 1:
      return now - 1;
    case 2:
      return prng.Below(uint64_t{1} << prng.Below(10));
    case 3: {
      const uint64_t place = prng.Below(1 << 22) * 64, size = prng.Below(1 << 20);
      return prng.Chance(1, 2) ? place | size << 32 : size | place << 32;
    }
    case 4:
      return uint64_t{1} << prng.Below(64);
    default:
      return prng.Next();
  }
}

inline void WriteNonsense(base::Prng& prng, std::atomic<uint64_t>& word) {
  word.store(Nonsense(prng, word.load(std::memory_order_relaxed)), std::memory_order_relaxed);
}

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_CACHE_NONSENSE_H_
