// SPDX-License-Identifier: Apache-2.0
#include "lib/client/unix_socket.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>

#include "lib/base/status.h"

namespace clustix::client {

absl::StatusOr<base::UniqueFd> ConnectUnix(const std::string& path,
                                           std::chrono::milliseconds timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": too long for the path of a socket"));
  }
  path.copy(address.sun_path, path.size());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  // Before connect(), which otherwise waits for ever once the listener's queue is full.
  const timeval time = {.tv_sec = timeout.count() / 1000,
                        .tv_usec = (timeout.count() % 1000) * 1000};
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (setsockopt(fd.get(), SOL_SOCKET, option, &time, sizeof(time)) != 0) {
      return base::ErrnoStatus(errno, path);
    }
  }
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return fd;
  }
  if (errno == ECONNREFUSED) {
    return absl::UnavailableError(absl::StrCat(path, ": no daemon listens there any more"));
  }
  if (errno == EAGAIN) {
    return absl::DeadlineExceededError(
        absl::StrCat(path, ": the daemon does not answer (is it stopped?)"));
  }
  return base::ErrnoStatus(errno, absl::StrCat("cannot reach the daemon at ", path));
}

}  // namespace clustix::client
