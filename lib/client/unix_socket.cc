// SPDX-License-Identifier: Apache-2.0
#include "lib/client/unix_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

#include "lib/base/status.h"

namespace clustix::client {

absl::StatusOr<base::UniqueFd> ConnectUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": too long for the path of a socket"));
  }
  path.copy(address.sun_path, path.size());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return fd;
  }
  if (errno == ECONNREFUSED) {
    return absl::UnavailableError(absl::StrCat(path, ": no daemon listens there any more"));
  }
  return base::ErrnoStatus(errno, absl::StrCat("cannot reach the daemon at ", path));
}

}  // namespace clustix::client
