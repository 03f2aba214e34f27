// SPDX-License-Identifier: Apache-2.0
//
// Says to a node what no peer would: connects again and again, without the cluster's key, with
// frames whose checksums are right and whose contents are drawn from a seed. At the end it leaves
// more connections open and silent than a node admits, until its standard input ends.
//
//   kccm-hostile ADDRESS PORT SEED CONNECTIONS
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <thread>
#include <vector>

#include "lib/base/crc32c.h"
#include "lib/base/prng.h"
#include "lib/session/wire.h"

namespace clustix::vm {
namespace {

constexpr size_t kLargestBody = 600;
constexpr int kSilent = KCCM_HANDSHAKES_PENDING + 16;
// Most of the time a stranger waits for the node to give up on it.
constexpr int kThreads = 16;
// Of kccm_config.c.
constexpr uint8_t kClusterByte = 0x77;

using Bytes = std::vector<uint8_t>;

template <typename Integer>
void Put(Bytes& to, size_t offset, Integer value) {
  std::memcpy(to.data() + offset, &value, sizeof(value));
}

// A HELLO that gets as far as its random parts let it: the right cluster, a peer's id.
Bytes HelloBody(base::Prng& prng) {
  Bytes body(KCCM_HELLO_BYTES);
  prng.Fill(body.data(), body.size());
  Put<uint32_t>(body, 0, KCCM_MAGIC);
  Put<uint16_t>(body, 4, prng.Chance(7, 8) ? 1 : 9);
  Put<uint16_t>(body, 6, 1);
  if (prng.Chance(7, 8)) std::memset(body.data() + 8, kClusterByte, KCCM_CLUSTER_BYTES);
  Put<uint16_t>(body, 24, static_cast<uint16_t>(prng.Below(4)));
  Put<uint16_t>(body, 26, static_cast<uint16_t>(prng.Below(4)));
  body[28] = static_cast<uint8_t>(prng.Below(3));
  body[29] = static_cast<uint8_t>(prng.Below(3));
  Put<uint16_t>(body, 30, 1);
  return body;
}

void AppendFrame(base::Prng& prng, Bytes& to) {
  const auto type = static_cast<uint8_t>(prng.Chance(1, 2) ? +KCCM_FRAME_HELLO : prng.Below(13));
  Bytes body = HelloBody(prng);
  if (type != KCCM_FRAME_HELLO || prng.Chance(1, 8)) {
    body.resize(prng.Below(kLargestBody));
    prng.Fill(body.data(), body.size());
  }
  Bytes head(KCCM_FRAME_BYTES);
  prng.Fill(head.data() + 10, head.size() - 10);
  const bool lies = prng.Chance(1, 16);
  Put<uint32_t>(head, 4,
                lies ? static_cast<uint32_t>(prng.Next()) : static_cast<uint32_t>(body.size()));
  head[8] = type;
  head[9] = prng.Chance(7, 8) ? KCCM_FLAG_PAYLOAD_CRC : static_cast<uint8_t>(prng.Next());
  const uint32_t head_crc = base::Crc32c(head.data() + 4, head.size() - 4);
  Put<uint32_t>(head, 0, prng.Chance(15, 16) ? head_crc : ~head_crc);
  to.insert(to.end(), head.begin(), head.end());
  to.insert(to.end(), body.begin(), body.end());
  Bytes crc(KCCM_CRC_BYTES);
  Put<uint32_t>(crc, 0, base::Crc32c(body.data(), body.size()));
  to.insert(to.end(), crc.begin(), crc.end());
}

int Connect(const sockaddr_in& address) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    std::perror("kccm-hostile: connect");
    std::exit(1);
  }
  return socket_fd;
}

// What it answers does not matter, only that it does, or closes: then it has read what was said.
void SayOnce(const sockaddr_in& address, base::Prng& prng) {
  Bytes said;
  for (uint64_t frames = prng.Between(1, 4); frames > 0; --frames) AppendFrame(prng, said);
  if (prng.Chance(1, 8)) said.resize(prng.Below(said.size()));
  const int socket_fd = Connect(address);
  (void)send(socket_fd, said.data(), said.size(), MSG_NOSIGNAL);
  if (prng.Chance(3, 4)) shutdown(socket_fd, SHUT_WR);
  char answer[512];
  if (prng.Chance(3, 4)) (void)recv(socket_fd, answer, sizeof(answer), 0);
  close(socket_fd);
}

}  // namespace
}  // namespace clustix::vm

int main(int argc, char** argv) {
  using namespace clustix::vm;
  if (argc != 5) {
    std::cerr << "usage: kccm-hostile ADDRESS PORT SEED CONNECTIONS\n";
    return 2;
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[2])));
  inet_pton(AF_INET, argv[1], &address.sin_addr);
  const uint64_t seed = std::strtoull(argv[3], nullptr, 10);
  const int connections = std::atoi(argv[4]) / kThreads;
  std::vector<std::thread> threads;
  for (uint64_t number = 0; number < kThreads; ++number) {
    threads.emplace_back([=] {
      clustix::base::Prng prng(seed * kThreads + number);
      for (int left = connections; left > 0; --left) SayOnce(address, prng);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int silent = 0; silent < kSilent; ++silent) Connect(address);
  std::cout << "said all" << std::endl;
  while (std::cin.get() != EOF) {
  }
  return 0;
}
