// SPDX-License-Identifier: Apache-2.0
//
// Keyed BLAKE2s-256 (RFC 7693), the proof that a peer holds the cluster key. Any thread.
#ifndef CLUSTIX_LIB_BASE_BLAKE2S_H_
#define CLUSTIX_LIB_BASE_BLAKE2S_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace clustix::base {

using Blake2sKey = std::array<uint8_t, 32>;
using Blake2sDigest = std::array<uint8_t, 32>;

// kInternal if OpenSSL cannot do it (for instance in a FIPS-only configuration).
absl::StatusOr<Blake2sDigest> Blake2sMac(std::span<const uint8_t, 32> key, const void* data,
                                         size_t bytes);

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_BLAKE2S_H_
