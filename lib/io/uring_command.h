// SPDX-License-Identifier: Apache-2.0
//
// One command to a device, waited for: for setting things up, where there is no loop to turn. Makes
// and removes a ring of its own. Any thread.
#ifndef CLUSTIX_LIB_IO_URING_COMMAND_H_
#define CLUSTIX_LIB_IO_URING_COMMAND_H_

#include <cstdint>

#include "lib/io/device_io.h"

namespace clustix::io {

// The command's result, or why it could not be submitted: a negative errno in both cases.
int RunDeviceCommand(int fd, uint32_t op, const CommandPayload& payload);

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_URING_COMMAND_H_
