// SPDX-License-Identifier: Apache-2.0
//
// The peer `kccm-kernel`: the kernel module on both nodes, with the module's sample as the server,
// in the kernel. It serves for as long as it is loaded.
#include <poll.h>

#include <cerrno>

#include "lib/base/status.h"
#include "tests/bench/msg/kccm_client.h"

namespace clustix::bench {
namespace {

class SampleServer final : public Server {
 public:
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    return options.address;
  }
  absl::Status Serve(int stop_fd) override {
    pollfd stop = {stop_fd, POLLIN, 0};
    while (poll(&stop, 1, -1) < 0) {
      if (errno != EINTR) return base::ErrnoStatus(errno, "poll");
    }
    return absl::OkStatus();
  }
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "kccm-kernel";
  peer.title = "kccm.ko, served in the kernel";
  peer.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway};
  peer.make_server = [] { return std::make_unique<SampleServer>(); };
  peer.make_client = [] { return MakeKccmClient(kInKernel); };
  return PeerMain(argc, argv, peer);
}
