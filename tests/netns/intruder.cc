// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/intruder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "daemon/cluster/process.h"
#include "lib/base/crc32c.h"
#include "lib/session/wire.h"

namespace clustix::netns {
namespace {

void Put(std::vector<uint8_t>& to, size_t at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) to[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace

base::UniqueFd ConnectIn(pid_t pid, const std::string& ip, uint16_t port) {
  base::UniqueFd result;
  // A thread of its own: a network namespace is a thread's, and a socket stays in the one it was
  // made in.
  std::thread([&] {
    base::UniqueFd network(
        open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (setns(network.get(), CLONE_NEWNET) != 0) return;
    base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
      result = std::move(fd);
    }
  }).join();
  return result;
}

void SendAll(const base::UniqueFd& socket, const std::vector<uint8_t>& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    ssize_t n = send(socket.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;
    sent += static_cast<size_t>(n);
  }
}

bool AwaitClose(const base::UniqueFd& socket, std::chrono::milliseconds patience) {
  const cluster::Deadline deadline = cluster::After(patience);
  for (;;) {
    pollfd entry = {socket.get(), POLLIN, 0};
    if (poll(&entry, 1, cluster::LeftMs(deadline)) <= 0) return false;
    char buffer[4096];
    if (recv(socket.get(), buffer, sizeof(buffer), 0) <= 0) return true;
  }
}

std::vector<uint8_t> MakeFrame(uint8_t type, uint32_t length, uint64_t seq,
                               const std::vector<uint8_t>& payload) {
  std::vector<uint8_t> frame(KCCM_FRAME_BYTES);
  Put(frame, 4, length, 4);
  frame[8] = type;
  frame[9] = KCCM_FLAG_PAYLOAD_CRC;
  Put(frame, 16, seq, 8);
  Put(frame, 0, base::Crc32c(frame.data() + 4, KCCM_FRAME_BYTES - 4), 4);
  frame.insert(frame.end(), payload.begin(), payload.end());
  std::vector<uint8_t> crc(KCCM_CRC_BYTES);
  Put(crc, 0, base::Crc32c(payload.data(), payload.size()), 4);
  frame.insert(frame.end(), crc.begin(), crc.end());
  return frame;
}

std::vector<uint8_t> MakeHello(const base::Uuid& cluster, uint16_t node, uint16_t peer) {
  // Offsets of struct kccm_hello; all integers little endian.
  std::vector<uint8_t> body(KCCM_HELLO_BYTES);
  Put(body, 0, KCCM_MAGIC, 4);
  Put(body, 4, KCCM_VERSION_MIN, 2);
  Put(body, 6, KCCM_VERSION_MAX, 2);
  std::memcpy(body.data() + 8, cluster.data(), cluster.size());
  Put(body, 24, node, 2);
  Put(body, 26, peer, 2);
  Put(body, 30, 1, 2);     // ciphers: none
  Put(body, 32, 4242, 8);  // incarnation
  Put(body, 40, 4243, 8);  // session
  Put(body, 56, 1, 8);     // attempt
  Put(body, 64, 1, 8);     // next_expected
  Put(body, 72, KCCM_WINDOW_MESSAGES, 8);
  Put(body, 80, KCCM_WINDOW_BYTES, 8);
  Put(body, 88, KCCM_PAYLOAD_MAX, 4);
  Put(body, 92, KCCM_TOLERANCE_MS, 4);
  return MakeFrame(KCCM_FRAME_HELLO, KCCM_HELLO_BYTES, 0, body);
}

}  // namespace clustix::netns
