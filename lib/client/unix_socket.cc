// SPDX-License-Identifier: Apache-2.0
#include "lib/client/unix_socket.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "lib/base/status.h"

namespace clustix::client {

absl::Status SetTimeout(const base::UniqueFd& fd, std::chrono::milliseconds timeout) {
  const timeval time = {.tv_sec = timeout.count() / 1000,
                        .tv_usec = (timeout.count() % 1000) * 1000};
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (setsockopt(fd.get(), SOL_SOCKET, option, &time, sizeof(time)) != 0) {
      return base::ErrnoStatus(errno, "cannot bound the waiting on a socket");
    }
  }
  return absl::OkStatus();
}

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
  RETURN_IF_ERROR(SetTimeout(fd, timeout));
  int connected;
  do {
    connected = connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  } while (connected != 0 && errno == EINTR);
  if (connected == 0) return fd;
  if (errno == ECONNREFUSED) {
    if (!std::filesystem::is_socket(path)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": not a socket"));
    }
    return absl::UnavailableError(
        absl::StrCat(path,
                     ": no daemon listens there any more (clustix up starts those of a "
                     "cluster on this machine)"));
  }
  if (errno == EAGAIN) {
    return absl::DeadlineExceededError(absl::StrCat(
        path,
        ": the daemon lets nobody in: it is stopped, or overrun (SIGCONT lets a stopped one "
        "go on)"));
  }
  return base::ErrnoStatus(errno, absl::StrCat("cannot reach the daemon at ", path));
}

absl::StatusOr<base::UniqueFd> AwaitUnix(const std::string& path,
                                         std::chrono::milliseconds patience,
                                         std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const std::string folder = std::filesystem::path(path).parent_path().string();
  base::UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  // A socket that is bound shows before it listens; a daemon sets its mode last.
  if (!watch.valid() || inotify_add_watch(watch.get(), folder.c_str(), IN_CREATE | IN_ATTRIB) < 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot wait for a daemon at ", path));
  }
  for (;;) {
    absl::StatusOr<base::UniqueFd> fd = ConnectUnix(path, timeout);
    if (fd.ok() || !(absl::IsNotFound(fd.status()) || absl::IsUnavailable(fd.status()))) return fd;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry = {watch.get(), POLLIN, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready == 0) return fd;
    std::array<char, 4096> events;
    while (ready > 0 && read(watch.get(), events.data(), events.size()) > 0) {
    }
  }
}

}  // namespace clustix::client
