// SPDX-License-Identifier: Apache-2.0
//
// Checks what a program asks for, and says what is wrong in its own words. Pure; any thread.
#ifndef CLUSTIX_LIB_NODE_OPTIONS_H_
#define CLUSTIX_LIB_NODE_OPTIONS_H_

#include "absl/status/statusor.h"
#include "clustix/node.h"
#include "lib/msg/session_messenger.h"

namespace clustix {

// kInvalidArgument names the option. The incarnation is left for the caller to draw.
absl::StatusOr<msg::MessengerConfig> CheckOptions(const NodeOptions& options);

}  // namespace clustix

#endif  // CLUSTIX_LIB_NODE_OPTIONS_H_
