// SPDX-License-Identifier: Apache-2.0
//
// A connected unix stream socket, for those who speak to a daemon. Any thread.
#ifndef CLUSTIX_LIB_CLIENT_UNIX_SOCKET_H_
#define CLUSTIX_LIB_CLIENT_UNIX_SOCKET_H_

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"
#include "lib/client/client.h"

namespace clustix::client {

// Blocking, and so is what is done with the socket, each time up to `timeout`. kNotFound: nothing
// is there; kUnavailable: nobody listens; kDeadlineExceeded: nobody accepts (a daemon that is
// stopped).
absl::StatusOr<base::UniqueFd> ConnectUnix(const std::string& path,
                                           std::chrono::milliseconds timeout = kSilence);

// The same for a daemon that may only be starting: waits up to `patience` for one that listens. The
// folder must be there.
absl::StatusOr<base::UniqueFd> AwaitUnix(const std::string& path,
                                         std::chrono::milliseconds patience,
                                         std::chrono::milliseconds timeout = kSilence);

absl::Status SetTimeout(const base::UniqueFd& fd, std::chrono::milliseconds timeout);

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_UNIX_SOCKET_H_
