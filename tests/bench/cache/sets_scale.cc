// SPDX-License-Identifier: Apache-2.0
//
// Fills object sets of a running cluster and says what that took: bench-sets-scale SOCKET OTHER
// OBJECTS BYTES SETS PROGRAMS. First one volatile set of so many objects, all at home on the node
// of SOCKET, of which a program of the node of OTHER then reads each; then so many sets that are
// all open at once; then so many programs that write and read at once. What the daemons say of
// their memory is printed, and what the kernel says of it.
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
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

constexpr char kSet[] = "bench/scale";

// What the node says of the set, each of so many objects.
void PrintMemory(Client& client, uint64_t resident_kib, uint64_t objects) {
  const SetInfo info = Must(client.StatSet(kSet));
  const auto each = [objects](uint64_t total) {
    return static_cast<double>(total) / static_cast<double>(objects);
  };
  std::printf("  bytes per object: %.1f resident in the daemon, arena included\n",
              each(resident_kib * 1024));
  for (const auto& [name, total] : info.counters) {
    if (name.ends_with("_bytes")) std::printf("  %s %.1f\n", name.c_str(), each(total));
  }
}

void FillOne(Client& client, const std::string& socket, uint64_t objects, size_t bytes) {
  const uint64_t before = ResidentKib(socket);
  const ObjectSet set = Must(client.OpenSet(
      kSet, {.create = true,
             .policy = {.durability = Durability::kVolatile, .placement = Placement::kCreator}}));
  const std::vector<std::byte> value(bytes);
  const auto begin = std::chrono::steady_clock::now();
  for (ObjectId id = 0; id < objects; ++id) {
    const SetOutcome outcome = set.Set(id, value);
    if (outcome == SetOutcome::kOk) continue;
    std::fprintf(stderr, "bench-sets-scale: object %" PRIu64 ": %s\n", id, SetOutcomeName(outcome));
    std::exit(1);
  }
  const double seconds = SecondsSince(begin);
  std::printf("%" PRIu64 " objects of %zu bytes at home: %.1f s, %.0f a second\n", objects, bytes,
              seconds, static_cast<double>(objects) / seconds);
  PrintMemory(client, ResidentKib(socket) - before, objects);
}

void CopyAll(const std::string& socket, uint64_t objects) {
  constexpr uint64_t kAtOnce = 256;
  Client client = Must(Client::Connect({.socket = socket}));
  const uint64_t before = ResidentKib(socket);
  const ObjectSet set = Must(client.OpenSet(kSet));
  const auto begin = std::chrono::steady_clock::now();
  for (ObjectId first = 0; first < objects; first += kAtOnce) {
    std::vector<ObjectId> ids(std::min(kAtOnce, objects - first));
    std::iota(ids.begin(), ids.end(), first);
    const SetOutcome outcome = set.GetMany(ids, [](size_t, ReadGuard&) {});
    if (outcome == SetOutcome::kOk) continue;
    std::fprintf(stderr, "bench-sets-scale: copies: %s\n", SetOutcomeName(outcome));
    std::exit(1);
  }
  const double seconds = SecondsSince(begin);
  std::printf("copies of all on another node: %.1f s, %.0f a second\n", seconds,
              static_cast<double>(objects) / seconds);
  PrintMemory(client, ResidentKib(socket) - before, objects);
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

// Each adds to counters that all share, and to some of its own.
int Count(const std::string& socket, uint64_t program) {
  constexpr uint64_t kTurns = 200, kShared = 8;
  Client client = Must(Client::Connect({.socket = socket, .timeout_ms = 60'000}));
  const TypedSet<uint64_t> counters(Must(client.OpenSet("bench/programs", {.create = true})));
  for (uint64_t turn = 0; turn < kTurns; ++turn) {
    const ObjectId id = turn % 2 == 0 ? turn / 2 % kShared : kShared + program;
    const auto added = counters.Update(id, [](uint64_t& number) { ++number; }, {.timeout_ms = 0});
    if (!added) return 1;
  }
  return 0;
}

// While this program has one thread.
void RunPrograms(const std::string& socket, uint64_t programs) {
  Client client = Must(Client::Connect({.socket = socket}));
  const TypedSet<uint64_t> counters(Must(client.OpenSet("bench/programs", {.create = true})));
  const uint64_t before = ResidentKib(socket);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<pid_t> children;
  for (uint64_t program = 0; program < programs; ++program) {
    const pid_t child = fork();
    if (child == 0) _exit(Count(socket, program));
    children.push_back(child);
  }
  const uint64_t after = ResidentKib(socket);
  for (const pid_t child : children) {
    int status = -1;
    if (child > 0 && waitpid(child, &status, 0) == child && status == 0) continue;
    std::fprintf(stderr, "bench-sets-scale: a program has failed: status %d\n", status);
    std::exit(1);
  }
  const double seconds = SecondsSince(begin);
  uint64_t sum = 0;
  for (ObjectId id = 0; id < 8; ++id) sum += counters.Get(id).value;
  std::printf("%" PRIu64 " programs at once: %.2f s, %.0f updates a second, %" PRIu64
              " of shared objects, none lost: %s; %.1f KiB resident for each\n",
              programs, seconds, static_cast<double>(programs * 200) / seconds, sum,
              sum == programs * 100 ? "yes" : "NO",
              static_cast<double>(after - before) / static_cast<double>(programs));
}

int Main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: bench-sets-scale SOCKET OTHER OBJECTS BYTES SETS PROGRAMS\n");
    return 2;
  }
  const auto number = [argv](int at) { return std::strtoull(argv[at], nullptr, 10); };
  Client client = Must(Client::Connect({.socket = argv[1]}));
  RunPrograms(argv[1], number(6));
  FillOne(client, argv[1], number(3), number(4));
  CopyAll(argv[2], number(3));
  OpenMany(client, argv[1], number(5));
  return 0;
}

}  // namespace
}  // namespace clustix

int main(int argc, char** argv) { return clustix::Main(argc, argv); }
