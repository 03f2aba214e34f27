// SPDX-License-Identifier: Apache-2.0
#include "lib/io/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"

namespace clustix::io {
namespace {

using base::UniqueFd;

// Not SOCK_NONBLOCK: io_uring then returns EAGAIN instead of waiting for the socket.
absl::StatusOr<UniqueFd> OpenSocket(sa_family_t family) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  return fd;
}

absl::Status SetOption(int fd, int level, int option, int value, std::string_view name) {
  if (setsockopt(fd, level, option, &value, sizeof value) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, name);
}

absl::Status ApplyOptions(int fd, const SocketAddress& address, const StreamOptions& options) {
  if (address.is_unix()) return absl::OkStatus();
  if (options.no_delay) {
    RETURN_IF_ERROR(SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"));
  }
  if (options.user_timeout_ms != 0) {
    RETURN_IF_ERROR(SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                              static_cast<int>(options.user_timeout_ms), "TCP_USER_TIMEOUT"));
  }
  if (!options.congestion.empty() &&
      setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, options.congestion.data(),
                 static_cast<socklen_t>(options.congestion.size())) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("TCP_CONGESTION ", options.congestion));
  }
  return absl::OkStatus();
}

// Removes the socket file at `path` if nobody listens on it. Two processes that start at the same
// moment can both find it stale; the second one's bind() then fails or replaces a socket that is a
// moment old, as with every daemon that does this. A lock file is the owner's matter.
absl::Status RemoveStaleSocket(const SocketAddress& address) {
  const std::string path = address.path();
  struct stat file;
  if (lstat(path.c_str(), &file) != 0) {
    return errno == ENOENT ? absl::OkStatus() : base::ErrnoStatus(errno, path);
  }
  if (!S_ISSOCK(file.st_mode)) {
    return absl::AlreadyExistsError(absl::StrCat(path, " exists and is not a socket"));
  }
  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return base::ErrnoStatus(errno, "socket");
  if (connect(probe.get(), address.get(), address.bytes) == 0 || errno == EAGAIN) {
    return absl::AlreadyExistsError(absl::StrCat("another process listens on ", path));
  }
  if (errno != ECONNREFUSED) {
    return base::ErrnoStatus(errno, absl::StrCat("see who listens on ", path));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return base::ErrnoStatus(errno, absl::StrCat("remove the stale socket ", path));
  }
  return absl::OkStatus();
}

absl::Status Bind(int fd, const SocketAddress& address) {
  if (bind(fd, address.get(), address.bytes) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, absl::StrCat("bind to ", FormatAddress(address)));
}

using NameFunction = int (*)(int, sockaddr*, socklen_t*);

absl::StatusOr<SocketAddress> NameOf(NameFunction function, int fd, std::string_view name) {
  SocketAddress address;
  address.bytes = sizeof address.storage;
  if (function(fd, address.get(), &address.bytes) != 0) return base::ErrnoStatus(errno, name);
  return address;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenListener(const SocketAddress& address, const StreamOptions& options) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenSocket(address.family()));
  if (address.is_unix()) {
    RETURN_IF_ERROR(RemoveStaleSocket(address));
  } else {
    // A daemon that restarts must not wait for the connections of its predecessor to time out.
    RETURN_IF_ERROR(SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  }
  if (address.family() == AF_INET6) {
    // "[::]:port" means IPv6; without this, what else it means depends on a sysctl.
    RETURN_IF_ERROR(SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
  }
  RETURN_IF_ERROR(ApplyOptions(fd.get(), address, options));
  RETURN_IF_ERROR(Bind(fd.get(), address));
  if (listen(fd.get(), SOMAXCONN) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("listen on ", FormatAddress(address)));
  }
  return fd;
}

absl::StatusOr<UniqueFd> OpenConnector(const SocketAddress& address, const std::string& bind_ip,
                                       const StreamOptions& options) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenSocket(address.family()));
  RETURN_IF_ERROR(ApplyOptions(fd.get(), address, options));
  if (bind_ip.empty()) return fd;
  ASSIGN_OR_RETURN(const SocketAddress local, ParseIp(bind_ip));
  if (local.family() != address.family()) {
    return absl::InvalidArgumentError(absl::StrCat("cannot connect from ", bind_ip, " to ",
                                                   FormatAddress(address),
                                                   ": they are of different families"));
  }
  // The port is chosen at connect(), where it need only differ per destination, and not at bind().
  RETURN_IF_ERROR(
      SetOption(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT"));
  RETURN_IF_ERROR(Bind(fd.get(), local));
  return fd;
}

absl::StatusOr<SocketAddress> LocalAddressOf(int fd) {
  return NameOf(getsockname, fd, "getsockname");
}

absl::StatusOr<SocketAddress> PeerAddressOf(int fd) {
  return NameOf(getpeername, fd, "getpeername");
}

bool IsConnectedToItself(int fd) {
  const absl::StatusOr<SocketAddress> local = LocalAddressOf(fd);
  const absl::StatusOr<SocketAddress> peer = PeerAddressOf(fd);
  return local.ok() && peer.ok() && !local->is_unix() && *local == *peer;
}

}  // namespace clustix::io
