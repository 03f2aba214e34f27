// SPDX-License-Identifier: Apache-2.0
//
// CRC32C (Castagnoli), as in RFC 3720: initial value and final XOR are applied inside. Uses the
// processor's instruction where it has one. Any thread.
#ifndef CLUSTIX_LIB_BASE_CRC32C_H_
#define CLUSTIX_LIB_BASE_CRC32C_H_

#include <cstddef>
#include <cstdint>

namespace clustix::base {

uint32_t Crc32c(const void* data, size_t bytes);
// The CRC of a stretch that follows one whose CRC is `crc`.
uint32_t Crc32cExtend(uint32_t crc, const void* data, size_t bytes);

// What Crc32c() comes down to on this processor, for those who call it for every message.
using Crc32cFunction = uint32_t(const void* data, size_t bytes);
Crc32cFunction* BestCrc32c();

// The two ways to compute it, so that a test can compare them.
uint32_t Crc32cPortable(uint32_t crc, const void* data, size_t bytes);
bool Crc32cHasHardware();
uint32_t Crc32cHardware(uint32_t crc, const void* data, size_t bytes);  // only if HasHardware

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_CRC32C_H_
