// SPDX-License-Identifier: Apache-2.0
//
// Fills object sets of a running daemon and says what that took: bench-sets-scale SOCKET OBJECTS
// BYTES SETS. First one volatile set of so many objects, then so many sets that are all open at
// once. What the daemon says of its memory is printed, and what the kernel says of it.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "clustix/sets.h"

namespace clustix {
namespace {

template <typename T>
T Must(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "bench-sets-scale: %s\n", result.error().message.c_str());
  std::exit(1);
}

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Of whoever listens on the socket, in KiB.
uint64_t ResidentKib(const std::string& socket_path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
  ucred peer = {};
  socklen_t size = sizeof peer;
  const bool known =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  close(fd);
  if (!known) return 0;
  std::ifstream status("/proc/" + std::to_string(peer.pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    uint64_t kib = 0;
    if (std::sscanf(line.c_str(), "VmRSS: %" SCNu64, &kib) == 1) return kib;
  }
  return 0;
}

void FillOne(Client& client, const std::string& socket, uint64_t objects, size_t bytes) {
  const uint64_t before = ResidentKib(socket);
  const ObjectSet set = Must(client.OpenSet(
      "bench/scale", {.create = true, .policy = {.durability = Durability::kVolatile}}));
  const std::vector<std::byte> value(bytes);
  const auto begin = std::chrono::steady_clock::now();
  for (ObjectId id = 0; id < objects; ++id) {
    const SetOutcome outcome = set.Set(id, value);
    if (outcome == SetOutcome::kOk) continue;
    std::fprintf(stderr, "bench-sets-scale: object %" PRIu64 ": %s\n", id, SetOutcomeName(outcome));
    std::exit(1);
  }
  const double seconds = SecondsSince(begin);
  const SetInfo info = Must(client.StatSet("bench/scale"));
  const auto each = [objects](uint64_t total) {
    return static_cast<double>(total) / static_cast<double>(objects);
  };
  std::printf("%" PRIu64 " objects of %zu bytes: %.1f s, %.0f a second\n", objects, bytes, seconds,
              static_cast<double>(objects) / seconds);
  std::printf("bytes per object: %.1f resident in the daemon, arena included\n",
              each((ResidentKib(socket) - before) * 1024));
  for (const auto& [name, total] : info.counters) {
    if (name.ends_with("_bytes")) std::printf("  %s %.1f\n", name.c_str(), each(total));
  }
}

void OpenMany(Client& client, const std::string& socket, uint64_t count) {
  const uint64_t before = ResidentKib(socket);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<ObjectSet> sets;
  for (uint64_t i = 0; i < count; ++i) {
    sets.push_back(Must(client.OpenSet("bench/many/" + std::to_string(i), {.create = true})));
    if (TypedSet<uint64_t>(sets.back()).Set(1, i) != SetOutcome::kOk) std::exit(1);
  }
  const double seconds = SecondsSince(begin);
  std::printf(
      "%" PRIu64 " sets, each open and with an object: %.1f s, %.1f KiB resident for each\n", count,
      seconds, static_cast<double>(ResidentKib(socket) - before) / static_cast<double>(count));
}

int Main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bench-sets-scale SOCKET OBJECTS BYTES SETS\n");
    return 2;
  }
  Client client = Must(Client::Connect({.socket = argv[1]}));
  FillOne(client, argv[1], std::strtoull(argv[2], nullptr, 10),
          std::strtoull(argv[3], nullptr, 10));
  OpenMany(client, argv[1], std::strtoull(argv[4], nullptr, 10));
  return 0;
}

}  // namespace
}  // namespace clustix

int main(int argc, char** argv) { return clustix::Main(argc, argv); }
