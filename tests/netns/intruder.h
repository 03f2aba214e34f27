// SPDX-License-Identifier: Apache-2.0
//
// Somebody on the cluster's network who does not belong there, or not like this: raw connections,
// and daemons with a config that is wrong in one way.
#ifndef CLUSTIX_TESTS_NETNS_INTRUDER_H_
#define CLUSTIX_TESTS_NETNS_INTRUDER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/base/uuid.h"

namespace clustix::netns {

// A TCP connection made in the network of process `pid`; not valid if it cannot be made.
base::UniqueFd ConnectIn(pid_t pid, const std::string& ip, uint16_t port);

// Sends all, as far as the other side takes it before it closes.
void SendAll(const base::UniqueFd& socket, const std::vector<uint8_t>& bytes);

// Reads until the other side closes; false at the deadline.
bool AwaitClose(const base::UniqueFd& socket, std::chrono::milliseconds patience);

// A frame with a right header CRC, whatever it claims about its length.
std::vector<uint8_t> MakeFrame(uint8_t type, uint32_t length, uint64_t seq,
                               const std::vector<uint8_t>& payload);

// The first frame of a handshake: `node` of that cluster wants to speak to `peer`.
std::vector<uint8_t> MakeHello(const base::Uuid& cluster, uint16_t node, uint16_t peer);

}  // namespace clustix::netns

#endif  // CLUSTIX_TESTS_NETNS_INTRUDER_H_
