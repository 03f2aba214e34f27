// SPDX-License-Identifier: Apache-2.0
//
// The serving side of the soak: any number of nodes in one process, over one loop, each of which
// checks what node 1 sends to it. One thread.
#ifndef CLUSTIX_TESTS_BENCH_MSG_SOAK_SERVER_H_
#define CLUSTIX_TESTS_BENCH_MSG_SOAK_SERVER_H_

#include "absl/status/status.h"
#include "tests/bench/msg/clustix_node.h"

namespace clustix::bench {

inline constexpr int kSoakFirstServer = 2;  // the node ids of servers count up from here

// Nodes `first_node` and up. Prints "listening ADDRESS,ADDRESS,..." and serves until stdin ends.
absl::Status ServeSoak(const PeerOptions& options, int first_node, int nodes);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_SOAK_SERVER_H_
