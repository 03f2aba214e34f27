// SPDX-License-Identifier: Apache-2.0
//
// Copying bytes that somebody else may write or read at the same time. A plain memcpy() would be a
// data race, which C++ leaves undefined; a copy by relaxed atomic words is what the hardware does
// anyway, and says so. The words may come from different moments: a sequence lock, or a check of
// the copy, tells. Pure functions; any thread.
#ifndef CLUSTIX_LIB_CACHE_WORDS_H_
#define CLUSTIX_LIB_CACHE_WORDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace clustix::cache {

// Copies `bytes` out of shared memory. `from` is aligned to 8; up to 7 bytes behind the end are
// read, but not written. [from, from + bytes) rounded up to 8 must be mapped.
inline void CopyFromShared(void* to, const std::byte* from, size_t bytes) {
  auto* out = static_cast<std::byte*>(to);
  const auto* in = reinterpret_cast<const std::atomic<uint64_t>*>(from);
  for (; bytes >= 8; bytes -= 8, out += 8, ++in) {
    const uint64_t word = in->load(std::memory_order_relaxed);
    std::memcpy(out, &word, 8);
  }
  if (bytes > 0) {
    const uint64_t word = in->load(std::memory_order_relaxed);
    std::memcpy(out, &word, bytes);
  }
}

// Copies `bytes` into shared memory. `to` is aligned to 8; up to 7 bytes behind the end become 0.
// Bytes at `from` must not change meanwhile.
inline void CopyToShared(std::byte* to, const void* from, size_t bytes) {
  const auto* in = static_cast<const std::byte*>(from);
  auto* out = reinterpret_cast<std::atomic<uint64_t>*>(to);
  for (; bytes >= 8; bytes -= 8, in += 8, ++out) {
    uint64_t word;
    std::memcpy(&word, in, 8);
    out->store(word, std::memory_order_relaxed);
  }
  if (bytes > 0) {
    uint64_t word = 0;
    std::memcpy(&word, in, bytes);
    out->store(word, std::memory_order_relaxed);
  }
}

// From shared memory, which may change meanwhile, into shared memory. Both aligned to 8.
inline void CopyBetweenShared(std::byte* to, const std::byte* from, size_t bytes) {
  const auto* in = reinterpret_cast<const std::atomic<uint64_t>*>(from);
  auto* out = reinterpret_cast<std::atomic<uint64_t>*>(to);
  for (size_t done = 0; done < bytes; done += 8, ++in, ++out) {
    out->store(in->load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
}

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_WORDS_H_
