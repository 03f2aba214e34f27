// SPDX-License-Identifier: Apache-2.0
//
// A daemon of a real cluster is killed while programs on all nodes write. Each object has two
// copies: what was acknowledged is there afterwards, or whoever asks is told that it cannot be had.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "clustix/sets.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

constexpr int kNodes = 3;
constexpr size_t kObjects = 12;  // of each writer
constexpr Wait kWait = {.timeout_ms = 300};
using Object = std::array<uint64_t, 64>;  // the same number everywhere: a torn one shows

ObjectId IdOf(int node, size_t object) { return static_cast<ObjectId>(node) * 100 + object; }

// What a writer has done to an object: numbers only grow.
struct Progress {
  std::atomic<uint64_t> attempted, acknowledged;
};
struct Shared {
  std::atomic<bool> stop;
  std::array<std::array<Progress, kObjects>, kNodes + 1> progress;  // by node
};

// Memory of this process and its children.
class SharedMemory {
 public:
  SharedMemory()
      : to_(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                 0)) {
    if (to_ == MAP_FAILED) abort();
    new (to_) Shared();
  }
  ~SharedMemory() { munmap(to_, sizeof(Shared)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  Shared& get() { return *static_cast<Shared*>(to_); }

 private:
  void* const to_;
};

// Writes ever larger numbers until it is told to stop or its daemon is gone.
int WriteOn(const std::string& socket, int node, Shared& shared) {
  Result<Client> client = Client::Connect({.socket = socket});
  if (!client.ok()) return 1;
  Result<ObjectSet> set = client->OpenSet("kill/objects", {.create = true});
  if (!set.ok()) return 2;
  const TypedSet<Object> objects(*std::move(set));
  for (uint64_t number = 1; !shared.stop && client->alive(); ++number) {
    for (size_t object = 0; object < kObjects; ++object) {
      Progress& progress = shared.progress[static_cast<size_t>(node)][object];
      Object value;
      value.fill(number);
      progress.attempted = number;
      if (objects.Set(IdOf(node, object), value, kWait) == SetOutcome::kOk) {
        progress.acknowledged = number;
      }
    }
  }
  return 0;
}

class KilledDaemon : public ClusterTest, public testing::WithParamInterface<int> {
 protected:
  // Of the one that is killed, and of the two that are not.
  int victim() const { return GetParam(); }
  std::vector<int> Survivors() const {
    std::vector<int> nodes;
    for (int node = 1; node <= kNodes; ++node) {
      if (node != victim()) nodes.push_back(node);
    }
    return nodes;
  }

  bool AllHaveWritten(Shared& shared) {
    for (int node = 1; node <= kNodes; ++node) {
      for (const Progress& progress : shared.progress[static_cast<size_t>(node)]) {
        if (progress.acknowledged < 20) return false;
      }
    }
    return true;
  }

  // A program of the node that has opened the set: the table of sets may be gone with the victim.
  void OpenOn(int node) {
    Result<Client> client = Client::Connect({.socket = layout().Socket(node)});
    ASSERT_TRUE(client.ok()) << client.error().message;
    Result<ObjectSet> set = client->OpenSet("kill/objects", {.create = true});
    ASSERT_TRUE(set.ok()) << set.error().message;
    readers_.push_back({.client = *std::move(client), .set = *std::move(set)});
  }

  // How many objects the reader can have.
  static size_t ReadAll(const ObjectSet& set, Shared& shared) {
    std::vector<ObjectId> ids;
    for (int writer = 1; writer <= kNodes; ++writer) {
      for (size_t object = 0; object < kObjects; ++object) ids.push_back(IdOf(writer, object));
    }
    size_t answered = 0;
    const auto check = [&](size_t index, ReadGuard& got) {
      SCOPED_TRACE("object " + std::to_string(ids[index]));
      if (!got) {
        EXPECT_TRUE(got.outcome() == SetOutcome::kDeadline ||
                    got.outcome() == SetOutcome::kUnavailable)
            << SetOutcomeName(got.outcome());
        return;
      }
      ++answered;
      const Progress& progress = shared.progress[1 + index / kObjects][index % kObjects];
      ASSERT_EQ(got.data().size(), sizeof(Object));
      Object value;
      memcpy(value.data(), got.data().data(), sizeof(value));
      EXPECT_TRUE(std::all_of(value.begin(), value.end(), [&value](uint64_t word) {
        return word == value.front();
      })) << "torn";
      EXPECT_GE(value.front(), progress.acknowledged) << "an acknowledged write is lost";
      EXPECT_LE(value.front(), progress.attempted) << "nobody has written that";
    };
    set.GetMany(ids, check, {.timeout_ms = 3000});
    return answered;
  }

  struct Reader {
    Client client;
    ObjectSet set;
  };
  std::vector<Reader> readers_;
};

TEST_P(KilledDaemon, Takes_no_acknowledged_write_along) {
  ASSERT_SUCCESS(Up());
  ASSERT_TRUE(AwaitAllUp(kNodes));
  for (int node = 1; node <= kNodes; ++node) {
    ASSERT_TRUE(Eventually(seconds(20), [&] { return Ask(node, {"set", "ls"}).status == 0; }));
  }
  SharedMemory memory;
  Shared& shared = memory.get();
  std::vector<pid_t> writers;
  for (int node = 1; node <= kNodes; ++node) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      _exit(WriteOn(layout().Socket(node), node, shared));
    }
    writers.push_back(child);
  }
  for (const int node : Survivors()) ASSERT_NO_FATAL_FAILURE(OpenOn(node));
  const bool all_wrote = Eventually(seconds(60), [&] { return AllHaveWritten(shared); });
  const cluster::ProcessId daemon = Daemon(victim());
  Signal(daemon, SIGKILL);
  const bool gone = AwaitGone(daemon, seconds(10));
  shared.stop = true;
  for (const pid_t writer : writers) {
    int status = -1;
    waitpid(writer, &status, 0);
    EXPECT_EQ(status, 0);
  }
  ASSERT_TRUE(all_wrote);
  ASSERT_TRUE(gone);
  size_t answered = 0;
  for (const Reader& reader : readers_) answered += ReadAll(reader.set, shared);
  EXPECT_GT(answered, 0u) << "what a survivor wrote itself, it can read";
}

INSTANTIATE_TEST_SUITE_P(OfAnyNode, KilledDaemon, testing::Values(1, 2, 3));

}  // namespace
}  // namespace clustix::netns
