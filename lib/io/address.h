// SPDX-License-Identifier: Apache-2.0
//
// Socket addresses in the text form that Io takes: "IPv4:port", "[IPv6]:port", "unix:/path". Never
// resolves names: that blocks, and a cluster must not depend on a name service. Pure; any thread.
#ifndef CLUSTIX_LIB_IO_ADDRESS_H_
#define CLUSTIX_LIB_IO_ADDRESS_H_

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace clustix::io {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t bytes = 0;

  sa_family_t family() const { return storage.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  // The path of a unix socket; empty for one without a name.
  std::string path() const;

  friend bool operator==(const SocketAddress& a, const SocketAddress& b);
};

// kInvalidArgument, with the text and the reason.
absl::StatusOr<SocketAddress> ParseAddress(std::string_view text);
// An IP without a port, for binding: "10.0.0.1", "::1" or "[::1]"; the port is 0.
absl::StatusOr<SocketAddress> ParseIp(std::string_view text);
std::string FormatAddress(const SocketAddress& address);

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_ADDRESS_H_
