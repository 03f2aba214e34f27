// SPDX-License-Identifier: Apache-2.0
//
// Daemons of a real cluster are killed while programs on all nodes write, and are taken back when
// they have been restarted. Each object has two copies: what was acknowledged is there afterwards,
// on every node, unless a second daemon fails before the copies are made again.
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
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "clustix/sets.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

constexpr int kNodes = 3;
constexpr size_t kObjects = 12;  // of each writer
// Longer than a daemon takes to come back: nobody is to be turned away meanwhile.
constexpr Wait kWait = {.timeout_ms = 30'000};
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
  auto& progress = shared.progress[static_cast<size_t>(node)];
  uint64_t number = 0;
  for (const Progress& of : progress) number = std::max<uint64_t>(number, of.attempted);
  while (!shared.stop && client->alive()) {
    ++number;
    for (size_t object = 0; object < kObjects; ++object) {
      Object value;
      value.fill(number);
      progress[object].attempted = number;
      const SetOutcome outcome = objects.Set(IdOf(node, object), value, kWait);
      if (outcome == SetOutcome::kOk) {
        progress[object].acknowledged = number;
      } else if (client->alive()) {
        return 10 + static_cast<int>(outcome);
      }
    }
  }
  return 0;
}

class KilledDaemons : public ClusterTest {
 protected:
  void StartCluster() {
    ASSERT_SUCCESS(Up());
    ASSERT_TRUE(AwaitAllUp(kNodes));
    ASSERT_TRUE(AwaitView(1));
  }
  // All nodes are in a view from this epoch on, and have made all copies.
  bool AwaitView(uint64_t at_least) {
    return Eventually(seconds(30), [&] {
      std::set<uint64_t> epochs;
      for (int node = 1; node <= kNodes; ++node) {
        const nlohmann::json status = AskJson(node, {"status"});
        if (!status.is_object() || status["object_sets"]["state"] != "in service") return false;
        epochs.insert(status["object_sets"]["epoch"].get<uint64_t>());
      }
      return epochs.size() == 1 && *epochs.begin() >= at_least;
    });
  }
  uint64_t EpochOn(int node) { return AskJson(node, {"status"})["object_sets"]["epoch"]; }

  void Kill(int node) {
    const cluster::ProcessId daemon = Daemon(node);
    ASSERT_NE(daemon.pid, 0);
    Signal(daemon, SIGKILL);
    ASSERT_TRUE(AwaitGone(daemon, seconds(10)));
  }
  bool AwaitDaemon(int node) {
    return Eventually(seconds(10), [&] { return Daemon(node).pid != 0; });
  }

  void StartWriter(int node) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      _exit(WriteOn(layout().Socket(node), node, shared()));
    }
    writers_.push_back(child);
  }
  void StartWriters() {
    for (int node = 1; node <= kNodes; ++node) ASSERT_NO_FATAL_FAILURE(StartWriter(node));
  }
  void StopWriters() {
    shared().stop = true;
    for (const pid_t writer : std::exchange(writers_, {})) {
      int status = -1;
      waitpid(writer, &status, 0);
      EXPECT_EQ(status, 0) << "outcome " << WEXITSTATUS(status) - 10;
    }
  }
  // All but the node, if one is given, have written each of their objects so often from now on.
  bool AwaitWrites(uint64_t times, int but = 0) {
    std::vector<uint64_t> before;
    for (const auto& of_node : shared().progress) {
      for (const Progress& progress : of_node) before.push_back(progress.acknowledged);
    }
    return Eventually(seconds(60), [&] {
      size_t index = kObjects;  // nobody is node 0
      bool all = true;
      for (int node = 1; node <= kNodes; ++node) {
        for (const Progress& progress : shared().progress[static_cast<size_t>(node)]) {
          const bool wrote = progress.acknowledged >= before[index++] + times;
          all = all && (wrote || node == but);
        }
      }
      return all;
    });
  }

  Shared& shared() { return memory_.get(); }

  // The node's daemon is gone, and back; meanwhile nobody who can wait is turned away.
  void KillAndAwaitReturn(int node) {
    const uint64_t before = EpochOn(node % kNodes + 1);
    ASSERT_NO_FATAL_FAILURE(Kill(node));
    ASSERT_TRUE(AwaitView(before + 1)) << "node " << node << " is not taken back";
    ASSERT_TRUE(AwaitWrites(3, node)) << "those who were connected cannot go on";
  }

  // Every object, as `set` shows it. How many are lost, if any may be.
  size_t ReadAll(const ObjectSet& set, bool may_be_lost = false) {
    std::vector<ObjectId> ids;
    for (int writer = 1; writer <= kNodes; ++writer) {
      for (size_t object = 0; object < kObjects; ++object) ids.push_back(IdOf(writer, object));
    }
    size_t lost = 0;
    const auto check = [&](size_t index, ReadGuard& got) {
      SCOPED_TRACE("object " + std::to_string(ids[index]));
      if (may_be_lost && got.outcome() == SetOutcome::kLost) {
        ++lost;
        return;
      }
      ASSERT_TRUE(got) << SetOutcomeName(got.outcome());
      const Progress& progress = shared().progress[1 + index / kObjects][index % kObjects];
      ASSERT_EQ(got.data().size(), sizeof(Object));
      Object value;
      memcpy(value.data(), got.data().data(), sizeof(value));
      EXPECT_TRUE(std::all_of(value.begin(), value.end(), [&value](uint64_t word) {
        return word == value.front();
      })) << "torn";
      EXPECT_GE(value.front(), progress.acknowledged) << "an acknowledged write is lost";
      EXPECT_LE(value.front(), progress.attempted) << "nobody has written that";
    };
    set.GetMany(ids, check, kWait);
    return lost;
  }
  // By programs that come now.
  void ReadAllOnEveryNode() {
    for (int node = 1; node <= kNodes; ++node) {
      SCOPED_TRACE("on node " + std::to_string(node));
      Result<Client> client = Client::Connect({.socket = layout().Socket(node)});
      ASSERT_TRUE(client.ok()) << client.error().message;
      Result<ObjectSet> set = client->OpenSet("kill/objects");
      ASSERT_TRUE(set.ok()) << set.error().message;
      ReadAll(*set);
    }
  }

 private:
  SharedMemory memory_;
  std::vector<pid_t> writers_;
};

class KilledDaemon : public KilledDaemons, public testing::WithParamInterface<int> {};

TEST_P(KilledDaemon, Is_taken_back_and_no_acknowledged_write_is_lost) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_NO_FATAL_FAILURE(StartWriters());
  ASSERT_TRUE(AwaitWrites(20));
  KillAndAwaitReturn(GetParam());
  StopWriters();
  ReadAllOnEveryNode();
}

INSTANTIATE_TEST_SUITE_P(OfAnyNode, KilledDaemon, testing::Values(1, 2, 3));

TEST_F(KilledDaemons, One_after_the_other_lose_nothing) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_NO_FATAL_FAILURE(StartWriters());
  ASSERT_TRUE(AwaitWrites(20));
  KillAndAwaitReturn(3);
  ASSERT_NO_FATAL_FAILURE(StartWriter(3));
  ASSERT_TRUE(AwaitWrites(3));
  KillAndAwaitReturn(1);
  StopWriters();
  ReadAllOnEveryNode();
}

TEST_F(KilledDaemons, That_fail_again_before_they_are_taken_back_lose_nothing) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_NO_FATAL_FAILURE(StartWriters());
  ASSERT_TRUE(AwaitWrites(20));
  for (int again = 0; again < 3; ++again) {
    ASSERT_NO_FATAL_FAILURE(Kill(2));
    // For some 400 ms it is not taken back: until programs of its former life read nothing more.
    ASSERT_TRUE(AwaitDaemon(2));
  }
  KillAndAwaitReturn(2);
  StopWriters();
  ReadAllOnEveryNode();
}

// Two nodes fail before the copies that the first one cost are made again: what both had is lost,
// and no more than that. The second one is the one that proposes views, while it is about to.
TEST_F(KilledDaemons, Two_at_once_take_along_what_only_they_had) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_NO_FATAL_FAILURE(StartWriters());
  Result<Client> client = Client::Connect({.socket = layout().Socket(2)});
  ASSERT_TRUE(client.ok()) << client.error().message;
  Result<ObjectSet> set = client->OpenSet("kill/objects", {.create = true});
  ASSERT_TRUE(set.ok()) << set.error().message;
  ASSERT_TRUE(AwaitWrites(20));
  const uint64_t before = EpochOn(2);
  ASSERT_NO_FATAL_FAILURE(Kill(3));
  ASSERT_TRUE(AwaitDaemon(3));
  ASSERT_NO_FATAL_FAILURE(Kill(1));
  ASSERT_TRUE(AwaitView(before + 1));
  StopWriters();
  const size_t all = kNodes * kObjects, lost = ReadAll(*set, true);
  EXPECT_LT(lost, all) << "node 2 has its part";
  const TypedSet<Object> objects(*std::move(set));
  for (int writer = 1; writer <= kNodes; ++writer) {
    for (size_t object = 0; object < kObjects; ++object) {
      Object value;
      value.fill(1);
      EXPECT_EQ(objects.Set(IdOf(writer, object), value, kWait), SetOutcome::kOk);
    }
  }
}

}  // namespace
}  // namespace clustix::netns
