// SPDX-License-Identifier: Apache-2.0
//
// Raw TCP that never sleeps: it asks the socket again and again, so that no wake-up of the other
// core is ever waited for. What a message costs at least, at the price of a core at each end.
#include "tests/bench/msg/raw_nonblocking.h"

namespace clustix::bench {
namespace {

class SpinWaiter {
 public:
  absl::Status Start(int fd) { return absl::OkStatus(); }
  absl::StatusOr<bool> Wait(bool to_receive, bool to_send) { return true; }
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using clustix::bench::NonblockingDriver;
  using clustix::bench::SpinWaiter;
  return clustix::bench::PeerMain(argc, argv,
                                  clustix::bench::RawPeer<NonblockingDriver<SpinWaiter>>(
                                      "raw-spin", "raw TCP, spinning, batched"));
}
