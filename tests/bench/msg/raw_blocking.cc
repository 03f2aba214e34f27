// SPDX-License-Identifier: Apache-2.0
//
// Raw TCP with blocking calls, as a program without a loop would use it: send what there is, wait
// for what comes. Several requests outstanding leave in one send().
#include <sys/socket.h>

#include <cerrno>

#include "tests/bench/msg/raw_peer.h"

namespace clustix::bench {
namespace {

class BlockingDriver {
 public:
  // Both ends only send or only receive at a time, and would wait for each other for ever if what
  // is outstanding did not fit into the sockets' buffers.
  static constexpr size_t kMostOutstandingBytes = 128 * 1024;

  BlockingDriver(const PeerOptions& options, const std::atomic<bool>& stop) {}

  template <class Side>
  absl::Status Drive(Side& side, int fd) {
    while (true) {
      for (auto out = side.Outgoing(); !out.empty(); out = side.Outgoing()) {
        const ssize_t sent = send(fd, out.data(), out.size(), MSG_NOSIGNAL);
        if (sent < 0) {
          if (errno == EINTR) continue;
          return IsEnd(errno) ? side.OnEnd() : base::ErrnoStatus(errno, "send");
        }
        RETURN_IF_ERROR(side.Sent(static_cast<size_t>(sent)));
      }
      if (side.done()) return absl::OkStatus();
      const auto room = side.Incoming();
      const ssize_t received = recv(fd, room.data(), room.size(), 0);
      if (received < 0) {
        if (errno == EINTR) continue;
        return IsEnd(errno) ? side.OnEnd() : base::ErrnoStatus(errno, "recv");
      }
      if (received == 0) return side.OnEnd();
      RETURN_IF_ERROR(side.Received(static_cast<size_t>(received)));
    }
  }
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  return clustix::bench::PeerMain(
      argc, argv,
      clustix::bench::RawPeer<clustix::bench::BlockingDriver>("raw-blocking", "raw TCP, blocking"));
}
