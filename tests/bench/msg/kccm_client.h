// SPDX-License-Identifier: Apache-2.0
//
// The peers that send through the kernel module. The address of a server is its node's id.
#ifndef CLUSTIX_TESTS_BENCH_MSG_KCCM_CLIENT_H_
#define CLUSTIX_TESTS_BENCH_MSG_KCCM_CLIENT_H_

#include <memory>

#include "tests/bench/msg/kccm_port.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {

// Calls and sends by io_uring commands.
std::unique_ptr<Client> MakeKccmClient(KccmService service);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_KCCM_CLIENT_H_
