// SPDX-License-Identifier: Apache-2.0
//
// Object sets on a real cluster: programs of three nodes, processes each, that count together, are
// killed at any moment, and lose a node or find it stopped.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/prng.h"
#include "lib/base/unique_fd.h"
#include "tests/netns/harness.h"
#include "tests/unit/objects/raw_program.h"

namespace clustix::netns {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = RawProgram::Kind;
using Status = RawProgram::Status;
using Wanted = RawProgram::Wanted;

// A process that runs `body`, whose result is its exit status; killed at the latest with this.
class Child {
 public:
  explicit Child(const std::function<int()>& body) : pid_(fork()) {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(body());
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ > 0) Kill();
  }
  void Kill() {
    kill(pid_, SIGKILL);
    Wait();
  }
  int Wait() {
    int status = -1;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_;
};

class SetsOfCluster : public ClusterTest {
 protected:
  void Start() {
    ASSERT_SUCCESS(Up());
    ASSERT_TRUE(AwaitAllUp(3));
  }
  std::string SocketOf(int node) { return layout().NodeDir(node) + "/sets.sock"; }
  std::unique_ptr<RawProgram> Program(int node) {
    auto program = RawProgram::Connect(SocketOf(node));
    if (program != nullptr && program->Attach().empty()) return program;
    ADD_FAILURE() << "cannot attach to node " << node;
    return nullptr;
  }
};

Wanted Volatile() {
  Wanted wanted;
  wanted.durability = RawProgram::Durability::VOLATILE;
  return wanted;
}

TEST_F(SetsOfCluster, Count_without_losing_an_increment) {
  Start();
  constexpr int kEach = 300;
  for (const Wanted& wanted : {Wanted(), Volatile()}) {
    const std::string name = "test/" + std::to_string(static_cast<int>(wanted.durability));
    std::vector<Child> children;
    for (int node = 1; node <= 3; ++node) {
      for (int i = 0; i < 2; ++i) {
        children.emplace_back([&] {
          const auto program = RawProgram::Connect(SocketOf(node));
          if (program == nullptr || !program->Attach().empty()) return 1;
          const auto set = program->Open(name, wanted);
          if (!set.error.empty()) return 2;
          for (int n = 0; n < kEach; ++n) {
            if (!program->Increment(set.handle, 1)) return 3;
          }
          return 0;
        });
      }
    }
    for (Child& child : children) EXPECT_EQ(child.Wait(), 0);
    const auto program = Program(2);
    ASSERT_NE(program, nullptr);
    EXPECT_EQ(program->Increment(program->Open(name).handle, 1), 6 * kEach + 1);
  }
}

// Message passing, and coherence of reads, over shared memory and the ring.
TEST_F(SetsOfCluster, Show_no_order_that_sequential_consistency_forbids) {
  Start();
  constexpr uint64_t kRounds = 150;
  const auto number = [](uint64_t n) { return std::to_string(n); };
  // One writes x, then y, for ever larger numbers; who reads y, then x, never finds x behind y, and
  // nobody finds an object go back.
  Child writer([&] {
    const auto program = RawProgram::Connect(SocketOf(1));
    if (program == nullptr || !program->Attach().empty()) return 1;
    const auto set = program->Open("litmus/mp");
    for (uint64_t n = 1; n <= kRounds; ++n) {
      if (program->Set(set.handle, 1, number(n)).status != Status::kOk) return 2;
      if (program->Set(set.handle, 2, number(n)).status != Status::kOk) return 3;
    }
    return 0;
  });
  std::vector<Child> readers;
  for (const int node : {1, 2, 3}) {
    readers.emplace_back([&, node] {
      const auto program = RawProgram::Connect(SocketOf(node));
      if (program == nullptr || !program->Attach().empty()) return 1;
      const auto set = program->Open("litmus/mp");
      const auto read = [&](uint64_t object) -> uint64_t {
        const auto got = program->Read(set.handle, *set.view, object);
        return got.value.empty() ? 0 : std::stoull(got.value);
      };
      uint64_t last_x = 0, last_y = 0;
      while (last_y < kRounds) {
        const uint64_t y = read(2), x = read(1);
        if (x < y) return 10;
        if (y < last_y || x < last_x) return 11;
        last_y = y;
        last_x = x;
      }
      return 0;
    });
  }
  EXPECT_EQ(writer.Wait(), 0);
  for (Child& reader : readers) EXPECT_EQ(reader.Wait(), 0);
}

TEST_F(SetsOfCluster, Outlive_programs_that_are_killed_at_any_moment) {
  Start();
  constexpr int kKills = 300;
  base::Prng prng(getpid());
  const auto watcher = Program(3);
  ASSERT_NE(watcher, nullptr);
  const auto set = watcher->Open("test/killed");
  ASSERT_EQ(set.error, "");
  // What is put is one letter, many times: a torn object shows.
  const auto is_whole = [](const std::string& value) {
    return value.empty() || value == std::string(value.size(), value[0]);
  };
  for (int i = 0; i < kKills; ++i) {
    int done[2];
    ASSERT_EQ(pipe2(done, O_CLOEXEC), 0);
    const base::UniqueFd reading(done[0]);
    base::UniqueFd writing(done[1]);
    Child child([&] {
      const auto program = RawProgram::Connect(SocketOf(1 + i % 3));
      if (program == nullptr || !program->Attach().empty()) return 1;
      const auto mine = program->Open("test/killed");
      for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)) {
        const auto grabbed = program->Ask(Kind::kGrab, mine.handle, 1);
        if (write(writing.get(), "g", 1) != 1 || !is_whole(grabbed.value)) return 2;
        program->Ask(Kind::kPut, mine.handle, 1, std::string(1 + prng.Below(3000), letter),
                     grabbed.argument);
        if (write(writing.get(), "p", 1) != 1) return 3;
      }
    });
    writing.Reset();
    // Wherever it is after so many steps.
    char step;
    for (uint64_t left = prng.Below(12); left > 0; --left) {
      ASSERT_EQ(read(reading.get(), &step, 1), 1) << "it has ended by itself";
    }
    child.Kill();
    if (i % 10 != 0) continue;
    const auto got = watcher->Ask(Kind::kGet, set.handle, 1, "", 20'000);
    ASSERT_TRUE(got.status == Status::kOk || got.status == Status::kNotFound)
        << static_cast<int>(got.status) << " after " << i;
    ASSERT_TRUE(is_whole(got.value));
  }
  for (int node = 1; node <= 3; ++node) {
    EXPECT_TRUE(Eventually(seconds(20), [&] {
      return Counter(node, "counters", "sets_programs") == (node == 3 ? 1u : 0u);
    })) << node;
  }
}

TEST_F(SetsOfCluster, Report_what_a_killed_node_takes_along_and_hang_on_nothing) {
  Start();
  const auto one = Program(1);
  ASSERT_NE(one, nullptr);
  const auto set = one->Open("test/replicas");
  ASSERT_EQ(set.error, "");
  constexpr uint64_t kObjects = 60;
  std::set<uint64_t> acknowledged;
  for (uint64_t object = 0; object < kObjects; ++object) {
    if (one->Set(set.handle, object, "kept").status == Status::kOk) acknowledged.insert(object);
  }
  EXPECT_EQ(acknowledged.size(), kObjects);
  const cluster::ProcessId killed = Daemon(3);
  Signal(killed, SIGKILL);
  ASSERT_TRUE(AwaitGone(killed, seconds(10)));
  // Node 1 wrote all of it, so it has a readable copy, and reads without anybody.
  for (const uint64_t object : acknowledged) {
    EXPECT_EQ(one->Read(set.handle, *set.view, object).value, "kept") << object;
  }
  // Writing what is at home on node 3 ends by its limit; the rest goes on.
  int written = 0;
  for (uint64_t object = 0; object < 12; ++object) {
    const auto answer = one->Ask(Kind::kGrab, set.handle, object, "", 200);
    if (answer.status == Status::kOk) {
      ++written;
      one->Ask(Kind::kRelease, set.handle, object, "", answer.argument);
    } else {
      EXPECT_TRUE(answer.status == Status::kCancelled || answer.status == Status::kUnknown);
    }
  }
  EXPECT_GT(written, 0);
}

TEST_F(SetsOfCluster, Serve_nothing_from_the_cache_of_a_stopped_daemon) {
  Start();
  const auto two = Program(2), one = Program(1);
  ASSERT_NE(two, nullptr);
  ASSERT_NE(one, nullptr);
  const auto here = two->Open("test/stopped"), there = one->Open("test/stopped");
  ASSERT_EQ(one->Set(there.handle, 1, "old").status, Status::kOk);
  ASSERT_EQ(two->Get(here.handle, 1).value, "old");
  ASSERT_EQ(two->AwaitHit(*here.view, 1), "old");
  const cluster::ProcessId stopped = Daemon(2);
  Signal(stopped, SIGSTOP);
  EXPECT_TRUE(Eventually(seconds(10), [&] { return !two->Hit(*here.view, 1); }))
      << "the lease must run out by itself";
  Signal(stopped, SIGCONT);
  EXPECT_TRUE(Eventually(seconds(10), [&] { return two->Hit(*here.view, 1).has_value(); }));
  EXPECT_EQ(one->Ask(Kind::kSet, there.handle, 1, "new", 20'000).status, Status::kOk);
  EXPECT_EQ(two->Read(here.handle, *here.view, 1).value, "new");
}

}  // namespace
}  // namespace clustix::netns
