// SPDX-License-Identifier: Apache-2.0
//
// Programs that write at random over everything that the daemon lets them write, and try to write
// over the rest, while they ask for objects as well. Only they may come to harm: honest programs
// beside them are served rightly, and what the daemon gave out it has back.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#include "tests/unit/cache/nonsense.h"
#include "tests/unit/objects/journaled_cluster.h"

namespace clustix {
namespace {

constexpr uint64_t kScribblersAtOnce = 4;
constexpr uint64_t kScribblersInBatch = 100;
// Of an honest program.
constexpr int kTurns = 40;
constexpr Wait kMoment = {.timeout_ms = 2};

struct Stretch {
  std::byte* begin;
  size_t bytes;
};

// Makes writable what it can of the memory that it shares with the daemon.
std::vector<Stretch> FindWritable() {
  std::vector<Stretch> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char write = '-';
    if (line.find("memfd:clustix") == std::string::npos ||
        std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " r%c", &begin, &end, &write) != 3) {
      continue;
    }
    auto* memory = reinterpret_cast<std::byte*>(begin);  // NOLINT(performance-no-int-to-ptr)
    if (write != 'w' && mprotect(memory, end - begin, PROT_READ | PROT_WRITE) != 0) {
      // root could have the file itself again.
      const std::string file = "/proc/self/map_files/" + line.substr(0, line.find(' '));
      const int fd = open(file.c_str(), O_RDWR | O_CLOEXEC);
      void* again = mmap(nullptr, end - begin, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (fd >= 0) (void)!pwrite(fd, "scribble", 8, 64);
      if (again == MAP_FAILED) continue;
      memory = static_cast<std::byte*>(again);
    }
    found.push_back({.begin = memory, .bytes = end - begin});
  }
  return found;
}

void ScribbleOnce(const std::vector<Stretch>& writable, base::Prng& prng) {
  const Stretch& stretch = writable[prng.Below(writable.size())];
  // What counts most stands at the front.
  const size_t front = std::min<size_t>(stretch.bytes, 1024 << (2 * prng.Below(4)));
  const size_t words = (prng.Chance(1, 8) ? stretch.bytes : front) / sizeof(uint64_t);
  WriteNonsense(prng, reinterpret_cast<std::atomic<uint64_t>*>(stretch.begin)[prng.Below(words)]);
}

// Sends what nobody expects, and holes where memory was.
void AbuseDescriptors(base::Prng& prng) {
  const int fd = static_cast<int>(3 + prng.Below(12));
  struct stat what = {};
  if (fstat(fd, &what) != 0) return;
  std::array<char, 512> junk{};
  prng.Fill(junk.data(), junk.size());
  if (!S_ISSOCK(what.st_mode)) {
    (void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
    (void)!ftruncate(fd, static_cast<off_t>(prng.Below(1 << 20)));
    return;
  }
  switch (prng.Below(5)) {
    case 0:
      fcntl(fd, F_SETFL, prng.Chance(1, 2) ? 0 : O_NONBLOCK);
      return;
    case 1:
      recv(fd, junk.data(), junk.size(), MSG_DONTWAIT);
      return;
    case 2: {  // a descriptor that nobody wants
      iovec some = {.iov_base = junk.data(), .iov_len = 1 + prng.Below(8)};
      alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
      msghdr message = {};
      message.msg_iov = &some;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof fd);
      std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
      sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      return;
    }
    default:
      send(fd, junk.data(), 1 + prng.Below(junk.size()), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

// Until it is killed, or its session has ended.
int Scribble(const std::string& socket, uint64_t seed) {
  base::Prng prng(seed);
  DieAfter(std::chrono::milliseconds(5 + prng.Below(40)));
  Result<Client> client = Client::Connect({.socket = socket, .timeout_ms = 60'000, .spin_us = 0});
  if (!client) return 3;
  const Result<ObjectSet> own = client->OpenSet(
      "test/own", {.create = true, .policy = {.durability = Durability::kVolatile}});
  // Others' objects it may read.
  const Result<ObjectSet> foreign =
      client->OpenSet(kJournalSets[prng.Below(kJournalSets.size())], {.write = false});
  if (!own || !foreign) return 3;
  const std::vector<Stretch> writable = FindWritable();
  if (writable.size() != 1) return 4;  // more than its region
  std::thread rage([&writable, turns = prng.Fork(), pause = prng.Below(64)]() mutable {
    for (;;) {
      ScribbleOnce(writable, turns);
      if (turns.Chance(1, 4000)) AbuseDescriptors(turns);
      // Some are slow enough for requests to come through whole.
      for (uint64_t i = pause * pause; i > 0; --i)
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
  });
  const std::array<std::byte, 40> value{};
  while (client->alive()) {
    const ObjectId id = prng.Below(8);
    switch (prng.Below(5)) {
      case 0:
        own->Set(id, value, kMoment);
        break;
      case 1:
        foreign->Get(id, kMoment);
        break;
      case 2:
        foreign->Prefetch(std::array{id, id + 1, id + 2});
        break;
      case 3:
        foreign->Set(id, value, kMoment);  // not its right
        break;
      default: {
        WriteGuard guard = own->Grab(id, kMoment);
        if (guard && guard.Assign(value) == SetOutcome::kOk) guard.Put(kMoment);
      }
    }
  }
  _exit(0);
}

int LiveHonestly(const std::string& socket, Journal& journal, uint64_t seed) {
  std::optional<RandomProgram> program;
  std::string wrong = RandomProgram::Connect(socket, journal, seed, &program);
  for (int turn = 0; turn < kTurns && wrong.empty(); ++turn) wrong = program->Turn();
  for (size_t set = 0; set < kJournalSets.size() && wrong.empty(); ++set) {
    wrong = program->Check(set, program->prng().Below(kJournaled));
  }
  if (wrong.empty()) return 0;
  fprintf(stderr, "program %" PRIu64 ": %s\n", seed, wrong.c_str());
  return 3;
}

class ScribblingPrograms : public JournaledCluster {};

TEST_F(ScribblingPrograms, Harm_only_themselves) {
  Start([this](uint64_t seed) {
    base::Prng prng(~seed);
    return seed % 2 == 0 ? LiveHonestly(AnySocket(prng), journal_, seed)
                         : Scribble(AnySocket(prng), seed);
  });
  const uint64_t batches = 2 + ProgramsToKill() / 2000;
  for (uint64_t batch = 0; batch < batches && !HasFailure(); ++batch) {
    for (const auto& [seed, status] :
         nursery_->Raise(batch * kScribblersInBatch, kScribblersInBatch, kScribblersAtOnce)) {
      if (seed % 2 == 0) {
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
            << "honest program " << seed << ": status " << status;
      } else {
        // It may break its own library in any way, but was served until it began.
        EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0)
            << "program " << seed << ": status " << status;
      }
    }
    ExpectIntact();
  }
  EXPECT_GT(Sum("sets_broken_regions"), 0u) << "they did something";
  EXPECT_GT(Acknowledged(), 0u);
}

}  // namespace
}  // namespace clustix
