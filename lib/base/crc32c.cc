// SPDX-License-Identifier: Apache-2.0
#include "lib/base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace clustix::base {
namespace {

constexpr uint32_t kPolynomialReflected = 0x82f63b78;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: what byte b does to the CRC when k more bytes follow it ("slicing by 8", Kounavis
// and Berry 2005).
constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomialReflected : 0);
    tables[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 1; k < 8; ++k) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

uint64_t LoadLittleEndian64(const uint8_t* from) {
  uint64_t word;
  memcpy(&word, from, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

uint32_t LoadLittleEndian32(const uint8_t* from) {
  uint32_t word;
  memcpy(&word, from, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap32(word);
  return word;
}

}  // namespace

uint32_t Crc32cPortable(uint32_t crc, const void* data, size_t bytes) {
  const auto* at = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (; bytes >= 8; bytes -= 8, at += 8) {
    const uint64_t word = LoadLittleEndian64(at) ^ crc;
    crc = kTables[7][word & 0xff] ^ kTables[6][(word >> 8) & 0xff] ^
          kTables[5][(word >> 16) & 0xff] ^ kTables[4][(word >> 24) & 0xff] ^
          kTables[3][(word >> 32) & 0xff] ^ kTables[2][(word >> 40) & 0xff] ^
          kTables[1][(word >> 48) & 0xff] ^ kTables[0][word >> 56];
  }
  for (; bytes > 0; --bytes) crc = (crc >> 8) ^ kTables[0][(crc ^ *at++) & 0xff];
  return ~crc;
}

#if defined(__x86_64__)

bool Crc32cHasHardware() { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) uint32_t Crc32cHardware(uint32_t crc, const void* data,
                                                          size_t bytes) {
  const auto* at = static_cast<const uint8_t*>(data);
  // What is odd comes first, so that a header whose end is aligned is read in whole words.
  uint32_t odd = ~crc;
  if ((bytes & 1) != 0) odd = _mm_crc32_u8(odd, *at++);
  if ((bytes & 2) != 0) {
    odd = _mm_crc32_u8(odd, *at++);
    odd = _mm_crc32_u8(odd, *at++);
  }
  if ((bytes & 4) != 0) {
    odd = _mm_crc32_u32(odd, LoadLittleEndian32(at));
    at += 4;
  }
  uint64_t state = odd;
  for (bytes /= 8; bytes > 0; --bytes, at += 8) {
    state = _mm_crc32_u64(state, LoadLittleEndian64(at));
  }
  return ~static_cast<uint32_t>(state);
}

#else

bool Crc32cHasHardware() { return false; }

uint32_t Crc32cHardware(uint32_t crc, const void* data, size_t bytes) {
  return Crc32cPortable(crc, data, bytes);
}

#endif

uint32_t Crc32cExtend(uint32_t crc, const void* data, size_t bytes) {
  static const auto best = Crc32cHasHardware() ? Crc32cHardware : Crc32cPortable;
  return best(crc, data, bytes);
}

uint32_t Crc32c(const void* data, size_t bytes) { return Crc32cExtend(0, data, bytes); }

Crc32cFunction* BestCrc32c() {
  if (!Crc32cHasHardware()) {
    return [](const void* data, size_t bytes) { return Crc32cPortable(0, data, bytes); };
  }
  return [](const void* data, size_t bytes) { return Crc32cHardware(0, data, bytes); };
}

}  // namespace clustix::base
