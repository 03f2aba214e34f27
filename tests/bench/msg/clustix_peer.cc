// SPDX-License-Identifier: Apache-2.0
//
// Clustix itself: the messenger of lib/msg over io_uring, as clustixd uses it.
#include "tests/bench/msg/clustix_node.h"

int main(int argc, char** argv) {
  using namespace clustix::bench;
  return PeerMain(argc, argv,
                  {.name = "clustix",
                   .title = "Clustix",
                   .modes = {Mode::kSync, Mode::kAsync, Mode::kOneway},
                   .make_server = MakeClustixServer,
                   .make_client = MakeClustixClient});
}
