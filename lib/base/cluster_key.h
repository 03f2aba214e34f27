// SPDX-License-Identifier: Apache-2.0
//
// The one secret of a cluster, and the file that it is kept in: 64 hexadecimal digits on one line,
// as `clustix init` writes them. Blocking; any thread, never a loop's.
#ifndef CLUSTIX_LIB_BASE_CLUSTER_KEY_H_
#define CLUSTIX_LIB_BASE_CLUSTER_KEY_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace clustix::base {

using ClusterKey = std::array<uint8_t, 32>;

// kPermissionDenied if anybody but its owner can touch the file, or the owner is neither this user
// nor root; kInvalidArgument if it holds no key. No message repeats what the file holds.
absl::StatusOr<ClusterKey> LoadKey(const std::string& path);

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_CLUSTER_KEY_H_
