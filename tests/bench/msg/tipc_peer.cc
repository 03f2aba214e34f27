// SPDX-License-Identifier: Apache-2.0
//
// The peer `tipc`: the kernel's own cluster messaging, in its connected form (SOCK_SEQPACKET). The
// address is not used: a service is found by its name, wherever in the cluster it is.
#include <linux/tipc.h>
#include <sys/socket.h>

#include <cerrno>

#include "lib/base/status.h"
#include "tests/bench/msg/message_socket.h"

namespace clustix::bench {
namespace {

using base::UniqueFd;

constexpr uint32_t kService = 0xc1c1;

sockaddr_tipc ServiceName() {
  sockaddr_tipc name = {};
  name.family = AF_TIPC;
  name.addrtype = TIPC_SERVICE_ADDR;
  name.addr.name.name.type = kService;
  return name;
}

absl::StatusOr<UniqueFd> MakeSocket() {
  UniqueFd fd(socket(AF_TIPC, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "cannot make a socket of TIPC");
  return fd;
}

absl::StatusOr<UniqueFd> Listen(const std::string&) {
  ASSIGN_OR_RETURN(UniqueFd fd, MakeSocket());
  sockaddr_tipc name = ServiceName();
  name.scope = TIPC_CLUSTER_SCOPE;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
    return base::ErrnoStatus(errno, "cannot publish a service of TIPC");
  }
  if (listen(fd.get(), 1) != 0) return base::ErrnoStatus(errno, "listen");
  return fd;
}

absl::StatusOr<UniqueFd> Connect(const std::string&) {
  ASSIGN_OR_RETURN(UniqueFd fd, MakeSocket());
  const sockaddr_tipc name = ServiceName();
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
    return base::ErrnoStatus(errno, "cannot connect to the service of TIPC");
  }
  return fd;
}

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  return PeerMain(argc, argv,
                  MessageSocketPeer("tipc", "TIPC",
                                    {.listen = Listen,
                                     .address_of = [](int) { return std::string("service"); },
                                     .accepts = true,
                                     .batch = 64,
                                     .connect = Connect}));
}
