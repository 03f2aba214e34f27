// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/bell.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "lib/base/status.h"

namespace clustix::cache {

absl::StatusOr<std::pair<Bell, Bell>> Bell::CreatePair() {
  std::array<int, 2> ends;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return base::ErrnoStatus(errno, "cannot make a pair of sockets");
  }
  return std::pair(Bell(base::UniqueFd(ends[0])), Bell(base::UniqueFd(ends[1])));
}

// No room for the byte: so the bell rings already. Nobody there: whoever waits finds out.
void Bell::Ring() const {
  const char byte = 0;
  while (send(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void Bell::Close() const { shutdown(fd_.get(), SHUT_RDWR); }

// One look: who rings faster than we listen keeps the bell ringing, but not us in here.
bool Bell::Silence() const {
  std::array<char, 4096> bytes;
  ssize_t got;
  do {
    got = recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

}  // namespace clustix::cache
