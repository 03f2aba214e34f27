// SPDX-License-Identifier: Apache-2.0
//
// The peer `rds`: Reliable Datagram Sockets, which the kernel carries over TCP (rds_tcp).
#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "lib/io/address.h"
#include "lib/io/socket.h"
#include "tests/bench/msg/message_socket.h"

namespace clustix::bench {
namespace {

using base::UniqueFd;

// A server's: RDS has no way to ask for any.
constexpr const char* kPort = ":7100";

absl::StatusOr<UniqueFd> MakeSocket(const io::SocketAddress& own) {
  UniqueFd fd(socket(AF_RDS, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "cannot make a socket of RDS");
  if (bind(fd.get(), own.get(), own.bytes) != 0) {
    return base::ErrnoStatus(errno, "cannot bind a socket of RDS");
  }
  return fd;
}

// "IPv4:port" without the port.
std::string IpOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

absl::StatusOr<UniqueFd> Listen(const std::string& address) {
  ASSIGN_OR_RETURN(const io::SocketAddress own, io::ParseAddress(IpOf(address) + kPort));
  return MakeSocket(own);
}

// RDS wants to know from which address a socket sends: the one from which the server is reached.
absl::StatusOr<io::SocketAddress> SourceFor(const io::SocketAddress& server) {
  const UniqueFd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe.valid() || connect(probe.get(), server.get(), server.bytes) != 0) {
    return base::ErrnoStatus(errno, "no way to the server");
  }
  ASSIGN_OR_RETURN(const io::SocketAddress bound, io::LocalAddressOf(probe.get()));
  return io::ParseIp(IpOf(io::FormatAddress(bound)));
}

absl::StatusOr<UniqueFd> Connect(const std::string& address) {
  ASSIGN_OR_RETURN(const io::SocketAddress server, io::ParseAddress(address));
  ASSIGN_OR_RETURN(const io::SocketAddress own, SourceFor(server));
  ASSIGN_OR_RETURN(UniqueFd fd, MakeSocket(own));
  if (connect(fd.get(), server.get(), server.bytes) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot connect to ", address));
  }
  return fd;
}

absl::StatusOr<std::string> AddressOf(int fd) {
  ASSIGN_OR_RETURN(const io::SocketAddress bound, io::LocalAddressOf(fd));
  return io::FormatAddress(bound);
}

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  return PeerMain(argc, argv,
                  MessageSocketPeer("rds", "RDS over TCP",
                                    {.listen = Listen,
                                     .address_of = AddressOf,
                                     .accepts = false,
                                     .batch = 1,
                                     .connect = Connect}));
}
