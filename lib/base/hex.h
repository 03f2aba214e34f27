// SPDX-License-Identifier: Apache-2.0
//
// Bytes as lower-case hexadecimal digits and back. Pure; any thread.
#ifndef CLUSTIX_LIB_BASE_HEX_H_
#define CLUSTIX_LIB_BASE_HEX_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace clustix::base {

std::string HexEncode(std::span<const uint8_t> bytes);
// Takes either case; kInvalidArgument for an odd number of digits or anything that is no digit. The
// message does not repeat the text: it may be a key.
absl::StatusOr<std::vector<uint8_t>> HexDecode(std::string_view text);

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_HEX_H_
