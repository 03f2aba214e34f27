// SPDX-License-Identifier: Apache-2.0
//
// The identity of a cluster: a UUID (RFC 9562) in its usual text form. Any thread.
#ifndef CLUSTIX_LIB_BASE_UUID_H_
#define CLUSTIX_LIB_BASE_UUID_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace clustix::base {

using Uuid = std::array<uint8_t, 16>;

// A random one (version 4).
Uuid RandomUuid();
// "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", lower case.
std::string FormatUuid(const Uuid& uuid);
// That form in either case; kInvalidArgument for anything else.
absl::StatusOr<Uuid> ParseUuid(std::string_view text);

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_UUID_H_
