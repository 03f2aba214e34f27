// SPDX-License-Identifier: Apache-2.0
//
// A connected unix stream socket. Private to the layer; any thread.
#ifndef CLUSTIX_LIB_CLIENT_UNIX_SOCKET_H_
#define CLUSTIX_LIB_CLIENT_UNIX_SOCKET_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::client {

// Blocking. kNotFound: nothing is there; kUnavailable: nobody listens.
absl::StatusOr<base::UniqueFd> ConnectUnix(const std::string& path);

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_UNIX_SOCKET_H_
