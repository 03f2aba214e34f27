// SPDX-License-Identifier: Apache-2.0
//
// Says to a node what no peer would: connects again and again, with frames whose checksums are
// right and whose contents are drawn from a seed.
//
//   kccm-hostile ADDRESS PORT SEED CONNECTIONS          without the cluster's key. At the end it
//                                                       leaves more connections open and silent
//                                                       than a node admits, until its input ends
//   kccm-hostile ADDRESS PORT SEED CONNECTIONS NODE     as node 1, to NODE: proves that it has the
//                                                       key, and then misbehaves
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <thread>
#include <vector>

#include "lib/base/blake2s.h"
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
constexpr uint8_t kKeyByte = 'k';
// As a peer.
constexpr uint16_t kSelf = 1;
constexpr uint64_t kIncarnation = 77, kSession = 88;
constexpr size_t kReplyFrameBytes = KCCM_FRAME_BYTES + KCCM_HELLO_REPLY_BYTES + KCCM_CRC_BYTES;

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

// --- a peer that misbehaves

void AppendHonest(Bytes& to, uint8_t type, uint64_t seq, uint64_t request, uint16_t port,
                  const Bytes& body) {
  const size_t begin = to.size();
  to.resize(begin + KCCM_FRAME_BYTES);
  Put<uint32_t>(to, begin + 4, static_cast<uint32_t>(body.size()));
  to[begin + 8] = type;
  to[begin + 9] = KCCM_FLAG_PAYLOAD_CRC;
  Put<uint16_t>(to, begin + 10, port);
  Put<uint64_t>(to, begin + 16, seq);
  Put<uint64_t>(to, begin + 24, request);
  Put<uint32_t>(to, begin, base::Crc32c(to.data() + begin + 4, KCCM_FRAME_BYTES - 4));
  to.insert(to.end(), body.begin(), body.end());
  to.resize(to.size() + KCCM_CRC_BYTES);
  Put<uint32_t>(to, to.size() - KCCM_CRC_BYTES, base::Crc32c(body.data(), body.size()));
}

Bytes PeersHello(uint16_t node, uint8_t lane, uint64_t attempt) {
  Bytes body(KCCM_HELLO_BYTES);
  Put<uint32_t>(body, 0, KCCM_MAGIC);
  Put<uint16_t>(body, 4, KCCM_VERSION_MAX);
  Put<uint16_t>(body, 6, KCCM_VERSION_MAX);
  std::memset(body.data() + 8, kClusterByte, KCCM_CLUSTER_BYTES);
  Put<uint16_t>(body, 24, kSelf);
  Put<uint16_t>(body, 26, node);
  body[28] = lane;
  Put<uint16_t>(body, 30, 1);
  Put<uint64_t>(body, 32, kIncarnation);
  Put<uint64_t>(body, 40, kSession);
  Put<uint64_t>(body, 56, attempt);
  Put<uint64_t>(body, 64, 1);
  Put<uint64_t>(body, 72, 1000);
  Put<uint64_t>(body, 80, 1 << 20);
  Put<uint32_t>(body, 88, KCCM_PAYLOAD_MAX);
  Put<uint32_t>(body, 92, KCCM_TOLERANCE_MS);
  return body;
}

// Whether the node has taken us for its peer; *expected: the sequence number that comes next.
bool ShakeHands(int socket_fd, uint16_t node, uint8_t lane, uint64_t attempt, uint64_t* expected) {
  const Bytes hello = PeersHello(node, lane, attempt);
  Bytes said;
  AppendHonest(said, KCCM_FRAME_HELLO, 0, 0, 0, hello);
  Bytes reply(kReplyFrameBytes);
  if (send(socket_fd, said.data(), said.size(), MSG_NOSIGNAL) < 0 ||
      recv(socket_fd, reply.data(), reply.size(), MSG_WAITALL) != kReplyFrameBytes) {
    return false;
  }
  const auto begin = reply.begin() + KCCM_FRAME_BYTES;
  std::memcpy(expected, reply.data() + KCCM_FRAME_BYTES + 64, sizeof(*expected));
  Bytes text{'I'};
  text.insert(text.end(), hello.begin(), hello.end());
  text.insert(text.end(), begin, begin + KCCM_HELLO_BYTES);
  std::array<uint8_t, KCCM_KEY_BYTES> key;
  key.fill(kKeyByte);
  const auto proof = base::Blake2sMac(key, text.data(), text.size());
  said.clear();
  AppendHonest(said, KCCM_FRAME_HELLO_PROOF, 0, 0, 0, Bytes(proof->begin(), proof->end()));
  return send(socket_fd, said.data(), said.size(), MSG_NOSIGNAL) > 0;
}

// Mostly what a peer may say, at a time at which it may not, or about what there is not.
void AppendMisbehaviour(base::Prng& prng, Bytes& to, uint64_t* seq) {
  static constexpr uint16_t kPorts[] = {7, 8, 20, 21, 22, 23, 12345};
  if (prng.Chance(1, 16)) return AppendFrame(prng, to);
  Bytes body(prng.Chance(1, 32) ? 100'000 : prng.Below(kLargestBody));
  prng.Fill(body.data(), body.size());
  const auto type = static_cast<uint8_t>(prng.Between(KCCM_FRAME_ACK, KCCM_FRAME_REPLY));
  if (type == KCCM_FRAME_ACK) {
    body.resize(KCCM_ACK_BYTES);
    for (size_t at = 0; at < body.size(); at += 8) {
      Put<uint64_t>(body, at, prng.Chance(15, 16) ? prng.Below(2000) : prng.Next());
    }
  }
  if (type == KCCM_FRAME_PROBE) body.clear();
  const bool is_message = type >= KCCM_FRAME_MESSAGE;
  const uint64_t number = !is_message ? 0 : prng.Chance(15, 16) ? *seq : prng.Below(2000);
  if (is_message && number == *seq) ++*seq;
  AppendHonest(to, type, number, prng.Chance(1, 2) ? prng.Below(100) : prng.Next(),
               kPorts[prng.Below(std::size(kPorts))], body);
}

// Whether the node has listened.
bool MisbehaveOnce(const sockaddr_in& address, base::Prng& prng, uint16_t node, uint8_t lane,
                   uint64_t attempt) {
  const int socket_fd = Connect(address);
  uint64_t seq = 1;
  const bool listens = ShakeHands(socket_fd, node, lane, attempt, &seq);
  if (listens) {
    Bytes said;
    for (uint64_t frames = prng.Between(1, 40); frames > 0; --frames) {
      AppendMisbehaviour(prng, said, &seq);
    }
    (void)send(socket_fd, said.data(), said.size(), MSG_NOSIGNAL);
    shutdown(socket_fd, SHUT_WR);
    Bytes answer(65536);
    while (recv(socket_fd, answer.data(), answer.size(), 0) > 0) {
    }
  }
  close(socket_fd);
  return listens;
}

void SayAsStranger(const sockaddr_in& address, uint64_t seed, int connections) {
  std::vector<std::thread> threads;
  for (uint64_t number = 0; number < kThreads; ++number) {
    threads.emplace_back([=] {
      base::Prng prng(seed * kThreads + number);
      for (int left = connections / kThreads; left > 0; --left) SayOnce(address, prng);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int silent = 0; silent < kSilent; ++silent) Connect(address);
}

void SayAsPeer(const sockaddr_in& address, uint64_t seed, int connections, uint16_t node) {
  std::atomic<int> listened = 0;
  std::vector<std::thread> threads;
  for (uint8_t lane = 0; lane < KCCM_LANES; ++lane) {
    threads.emplace_back([&, lane] {
      base::Prng prng(seed * KCCM_LANES + lane);
      for (int attempt = 1; attempt <= connections / KCCM_LANES; ++attempt) {
        listened += MisbehaveOnce(address, prng, node, lane, static_cast<uint64_t>(attempt));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::cout << "listened to " << listened << " times" << std::endl;
}

}  // namespace
}  // namespace clustix::vm

int main(int argc, char** argv) {
  using namespace clustix::vm;
  if (argc < 5) {
    std::cerr << "usage: kccm-hostile ADDRESS PORT SEED CONNECTIONS [NODE]\n";
    return 2;
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[2])));
  inet_pton(AF_INET, argv[1], &address.sin_addr);
  const uint64_t seed = std::strtoull(argv[3], nullptr, 10);
  const int connections = std::atoi(argv[4]);
  if (argc > 5) {
    SayAsPeer(address, seed, connections, static_cast<uint16_t>(std::atoi(argv[5])));
    return 0;
  }
  SayAsStranger(address, seed, connections);
  std::cout << "said all" << std::endl;
  while (std::cin.get() != EOF) {
  }
  return 0;
}
