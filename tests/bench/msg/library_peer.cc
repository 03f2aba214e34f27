// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/library_peer.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/io/address.h"
#include "lib/io/socket.h"

namespace clustix::bench {
namespace {

io::StreamOptions StreamOptionsOf(const PeerOptions& options) {
  return {.no_delay = true, .congestion = options.congestion};
}

}  // namespace

absl::StatusOr<base::UniqueFd> ListenTcp(const PeerOptions& options) {
  ASSIGN_OR_RETURN(const io::SocketAddress address, io::ParseAddress(options.address));
  return io::OpenListener(address, StreamOptionsOf(options));
}

absl::StatusOr<base::UniqueFd> ConnectTcp(const PeerOptions& options) {
  ASSIGN_OR_RETURN(const io::SocketAddress address, io::ParseAddress(options.address));
  ASSIGN_OR_RETURN(base::UniqueFd fd, io::OpenConnector(address, "", StreamOptionsOf(options)));
  if (connect(fd.get(), address.get(), address.bytes) != 0) {
    return base::ErrnoStatus(errno, "cannot connect to " + options.address);
  }
  return fd;
}

absl::StatusOr<std::string> BoundAddress(int fd) {
  ASSIGN_OR_RETURN(const io::SocketAddress bound, io::LocalAddressOf(fd));
  return io::FormatAddress(bound);
}

absl::Status SetCongestionOfOpenSockets(const std::string& congestion) {
  if (congestion.empty()) return absl::OkStatus();
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (folder == nullptr) return base::ErrnoStatus(errno, "cannot list the open sockets");
  while (const dirent* entry = readdir(folder.get())) {
    int fd = -1;
    if (absl::SimpleAtoi(entry->d_name, &fd) && IsTcp(fd)) {
      RETURN_IF_ERROR(SetCongestion(fd, congestion));
    }
  }
  return absl::OkStatus();
}

bool IsTcp(int fd) {
  int protocol = 0;
  socklen_t length = sizeof protocol;
  return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
         protocol == IPPROTO_TCP;
}

absl::Status SetCongestion(int fd, const std::string& congestion) {
  if (congestion.empty()) return absl::OkStatus();
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion.data(),
                 static_cast<socklen_t>(congestion.size())) != 0) {
    return base::ErrnoStatus(errno, "cannot set the congestion control " + congestion);
  }
  return absl::OkStatus();
}

absl::Status WrongEcho(size_t size_bytes, size_t expected_bytes, uint64_t number) {
  return absl::DataLossError(absl::StrCat("the reply to message ", number, ", ", size_bytes,
                                          " bytes, is not the ", expected_bytes, " bytes sent"));
}

absl::Status CheckCount(uint64_t counted, uint64_t sent) {
  if (counted == sent) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the server counted ", counted, " one-way messages of ", sent, " sent"));
}

}  // namespace clustix::bench
