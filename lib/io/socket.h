// SPDX-License-Identifier: Apache-2.0
//
// Making stream sockets with their options, and asking them for their addresses. Every call returns
// at once; every descriptor is close-on-exec. Any thread.
#ifndef CLUSTIX_LIB_IO_SOCKET_H_
#define CLUSTIX_LIB_IO_SOCKET_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"
#include "lib/io/address.h"
#include "lib/io/io.h"

namespace clustix::io {

// A socket that listens. The options pass on to the connections it accepts: Linux copies them from
// the listener. For a unix socket, a file left by a process that is gone is replaced; one on which
// somebody listens is kAlreadyExists, and so is any other file.
absl::StatusOr<base::UniqueFd> OpenListener(const SocketAddress& address,
                                            const StreamOptions& options);
// A socket that is ready to connect to `address`, bound to `bind_ip` (without a port) if that is
// not empty.
absl::StatusOr<base::UniqueFd> OpenConnector(const SocketAddress& address,
                                             const std::string& bind_ip,
                                             const StreamOptions& options);

absl::StatusOr<SocketAddress> LocalAddressOf(int fd);
absl::StatusOr<SocketAddress> PeerAddressOf(int fd);
// Both ends of the connection are this one socket: TCP does that when a connect to a free port of
// this machine happens to be sent from that very port.
bool IsConnectedToItself(int fd);

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_SOCKET_H_
