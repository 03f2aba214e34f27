// SPDX-License-Identifier: Apache-2.0
//
// The litmus tests of memory models with real programs of a real cluster: processes on all nodes
// that write and read the same objects at the same time, thousands of times. What one order of all
// steps cannot explain must never be seen; what was seen is printed.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "clustix/sets.h"
#include "lib/base/pause.h"
#include "lib/base/prng.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ObjectId kX = 1, kY = 2;
constexpr size_t kProgramsMax = 4;
constexpr size_t kSeenMax = 4;  // of what the steps of a round have read
constexpr uint64_t kRoundsMax = 20'000;
constexpr milliseconds kTime{1000};  // of each shape

struct Step {
  enum class What : uint8_t { kWrite, kRead, kUpdate };  // kUpdate adds 1 and reads what was there
  What what;
  ObjectId object;
  size_t number;  // kWrite: the value, 1 to 3; else where in Seen what was read goes
};
Step Write(ObjectId object, size_t value) { return {Step::What::kWrite, object, value}; }
Step Read(ObjectId object, size_t to) { return {Step::What::kRead, object, to}; }
Step Update(ObjectId object, size_t to) { return {Step::What::kUpdate, object, to}; }

using Seen = std::array<uint8_t, kSeenMax>;
struct Outcome {
  Seen seen = {};
  uint8_t x = 0, y = 0;  // at the end of the round
  auto operator<=>(const Outcome&) const = default;
};

struct Shape {
  const char* name;
  std::vector<std::vector<Step>> programs;
  std::function<bool(const Outcome&)> is_forbidden;
};

const std::vector<Shape>& Shapes() {
  static const auto* shapes = new std::vector<Shape>{
      {"SB",
       {{Write(kX, 1), Read(kY, 0)}, {Write(kY, 1), Read(kX, 1)}},
       [](const Outcome& o) { return o.seen[0] == 0 && o.seen[1] == 0; }},
      {"MP",
       {{Write(kX, 1), Write(kY, 1)}, {Read(kY, 0), Read(kX, 1)}},
       [](const Outcome& o) { return o.seen[0] == 1 && o.seen[1] == 0; }},
      {"LB",
       {{Read(kX, 0), Write(kY, 1)}, {Read(kY, 1), Write(kX, 1)}},
       [](const Outcome& o) { return o.seen[0] == 1 && o.seen[1] == 1; }},
      {"WRC",
       {{Write(kX, 1)}, {Read(kX, 0), Write(kY, 1)}, {Read(kY, 1), Read(kX, 2)}},
       [](const Outcome& o) { return o.seen[0] == 1 && o.seen[1] == 1 && o.seen[2] == 0; }},
      {"IRIW",
       {{Write(kX, 1)}, {Write(kY, 1)}, {Read(kX, 0), Read(kY, 1)}, {Read(kY, 2), Read(kX, 3)}},
       [](const Outcome& o) {
         return o.seen[0] == 1 && o.seen[1] == 0 && o.seen[2] == 1 && o.seen[3] == 0;
       }},
      {"2+2W",
       {{Write(kX, 1), Write(kY, 2)}, {Write(kY, 1), Write(kX, 2)}},
       [](const Outcome& o) { return o.x == 1 && o.y == 1; }},
      {"CoRR",
       {{Write(kX, 1)}, {Read(kX, 0), Read(kX, 1)}, {Read(kX, 2), Read(kX, 3)}},
       [](const Outcome& o) {
         return (o.seen[0] == 1 && o.seen[1] == 0) || (o.seen[2] == 1 && o.seen[3] == 0);
       }},
      // Readers that ask to write at once: one of them finds what the other wrote.
      {"upgrade race",
       {{Read(kX, 0), Update(kX, 1)}, {Read(kX, 2), Update(kX, 3)}},
       [](const Outcome& o) {
         return o.x != 2 || o.seen[1] == o.seen[3] || o.seen[0] > o.seen[1] ||
                o.seen[2] > o.seen[3];
       }},
      // Whoever reads makes the home recall what the first is about to put.
      {"put that crosses a recall",
       {{Update(kX, 0), Write(kY, 1)}, {Read(kY, 1), Read(kX, 2)}, {Update(kX, 3)}},
       [](const Outcome& o) {
         return o.x != 2 || o.seen[0] == o.seen[3] || (o.seen[1] == 1 && o.seen[2] <= o.seen[0]);
       }},
  };
  return *shapes;
}

// What the programs of a shape share beside the sets: when a round begins and ends, and what was
// seen in it.
struct Shared {
  pthread_barrier_t barrier;
  bool stop;  // written by the first program between two barriers
  uint64_t rounds;
  std::array<SetOutcome, kProgramsMax> failed;  // kOk: none
  std::array<Outcome, kRoundsMax> outcomes;
};

// Memory of this process and its children.
class SharedMemory {
 public:
  explicit SharedMemory(size_t programs)
      : to_(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                 0)) {
    if (to_ == MAP_FAILED) abort();
    new (to_) Shared();
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&get().barrier, &attributes, static_cast<unsigned>(programs));
    pthread_barrierattr_destroy(&attributes);
  }
  ~SharedMemory() { munmap(to_, sizeof(Shared)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  Shared& get() { return *static_cast<Shared*>(to_); }

 private:
  void* const to_;
};

// One of the processes of a shape.
class Program {
 public:
  Program(const std::string& socket, const Shape& shape, size_t index, Shared& shared)
      : client_(Client::Connect({.socket = socket})),
        shape_(shape),
        index_(index),
        shared_(shared),
        prng_(index + 1) {}

  bool Open() {
    if (!client_.ok()) return false;
    for (const Durability durability : {Durability::kReplicas2, Durability::kVolatile}) {
      Result<ObjectSet> set =
          client_->OpenSet("litmus/" + std::to_string(static_cast<int>(durability)),
                           {.create = true, .policy = {.durability = durability}});
      if (!set.ok()) return false;
      sets_.emplace_back(*std::move(set));
    }
    return true;
  }

  // `first_round`: no value of an earlier shape is one of this.
  void Run(uint64_t first_round) {
    const auto begin = std::chrono::steady_clock::now();
    for (uint64_t round = 0;; ++round) {
      if (index_ == 0) {
        shared_.stop =
            round == kRoundsMax || HasFailed() || std::chrono::steady_clock::now() - begin > kTime;
        if (shared_.stop) shared_.rounds = round;
      }
      Meet();
      if (shared_.stop) return;
      Outcome& outcome = shared_.outcomes[round];
      number_ = first_round + round;
      set_ = &sets_[round % sets_.size()];
      for (const Step& step : shape_.programs[index_]) {
        Dawdle();
        Do(step, outcome.seen);
      }
      Meet();
      if (index_ != 0) continue;
      outcome.x = See(kX);
      outcome.y = See(kY);
    }
  }

 private:
  static constexpr Wait kWait = {.timeout_ms = 30'000};

  // Of very different lengths, from less than a step from cache to more than one over the network:
  // programs in step see the same few outcomes again and again.
  void Dawdle() {
    const uint64_t longest = uint64_t{1} << prng_.Below(14);
    for (uint64_t pause = prng_.Below(longest); pause > 0; --pause) base::PauseCpu();
  }
  void Meet() { pthread_barrier_wait(&shared_.barrier); }
  bool HasFailed() const {
    for (const SetOutcome outcome : shared_.failed) {
      if (outcome != SetOutcome::kOk) return true;
    }
    return false;
  }
  void Check(SetOutcome outcome) {
    if (outcome != SetOutcome::kOk) shared_.failed[index_] = outcome;
  }
  // Values tell their round; what is of an earlier one counts as 0.
  uint64_t Encode(uint64_t value) const { return number_ * 4 + value; }
  uint8_t Decode(uint64_t word) const {
    return word / 4 == number_ ? static_cast<uint8_t>(word % 4) : uint8_t{0};
  }
  uint8_t See(ObjectId object) {
    const Value<uint64_t> got = set_->Get(object, kWait);
    if (got.outcome == SetOutcome::kNotFound) return 0;
    Check(got.outcome);
    return Decode(got.value);
  }
  void Do(const Step& step, Seen& seen) {
    switch (step.what) {
      case Step::What::kWrite:
        return Check(set_->Set(step.object, Encode(step.number), kWait));
      case Step::What::kRead:
        seen[step.number] = See(step.object);
        return;
      case Step::What::kUpdate:
        Check(set_->Update(
                      step.object,
                      [&](uint64_t& word) {
                        seen[step.number] = Decode(word);
                        word = Encode(seen[step.number] + 1u);
                      },
                      kWait)
                  .outcome);
        return;
    }
  }

  Result<Client> client_;
  const Shape& shape_;
  const size_t index_;
  Shared& shared_;
  base::Prng prng_;
  std::vector<TypedSet<uint64_t>> sets_;
  const TypedSet<uint64_t>* set_ = nullptr;
  uint64_t number_ = 0;
};

class Litmus : public ClusterTest {
 protected:
  // The exit statuses of the programs are all 0.
  void RunShape(const Shape& shape, uint64_t first_round, Shared& shared) {
    std::vector<pid_t> children;
    for (size_t index = 0; index < shape.programs.size(); ++index) {
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) _exit(RunChild(shape, index, first_round, shared));
      children.push_back(child);
    }
    bool all_ended = true;
    // A program that ended early leaves the others at the barrier.
    for (size_t left = children.size(); left > 0; --left) {
      int status = 0;
      const pid_t ended = waitpid(-1, &status, 0);
      if (status == 0) continue;
      all_ended = false;
      for (const pid_t child : children) {
        if (child != ended) kill(child, SIGKILL);
      }
    }
    ASSERT_TRUE(all_ended) << "a program could not open the sets";
  }

 private:
  int RunChild(const Shape& shape, size_t index, uint64_t first_round, Shared& shared) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Program program(layout().Socket(1 + static_cast<int>(index % 3)), shape, index, shared);
    if (!program.Open()) return 1;
    program.Run(first_round);
    return 0;
  }
};

std::string TitleOf(const Outcome& outcome) {
  std::string title = "read";
  for (const uint8_t seen : outcome.seen) title += " " + std::to_string(seen);
  return title + ", left x=" + std::to_string(outcome.x) + " y=" + std::to_string(outcome.y);
}

TEST_F(Litmus, Shows_programs_no_outcome_that_one_order_of_all_steps_forbids) {
  ASSERT_SUCCESS(Up());
  ASSERT_TRUE(AwaitAllUp(3));
  for (int node = 1; node <= 3; ++node) {
    ASSERT_TRUE(Eventually(seconds(20), [&] { return Ask(node, {"set", "ls"}).status == 0; }));
  }
  uint64_t first_round = 1;
  for (const Shape& shape : Shapes()) {
    SCOPED_TRACE(shape.name);
    SharedMemory memory(shape.programs.size());
    Shared& shared = memory.get();
    ASSERT_NO_FATAL_FAILURE(RunShape(shape, first_round, shared));
    first_round += kRoundsMax;
    for (const SetOutcome failed : shared.failed) {
      ASSERT_EQ(failed, SetOutcome::kOk) << SetOutcomeName(failed);
    }
    ASSERT_GT(shared.rounds, 0u);
    std::map<Outcome, uint64_t> tally;
    for (uint64_t round = 0; round < shared.rounds; ++round) ++tally[shared.outcomes[round]];
    std::printf("%s, %zu rounds\n", shape.name, static_cast<size_t>(shared.rounds));
    for (const auto& [outcome, times] : tally) {
      std::printf("  %6zu times %s\n", static_cast<size_t>(times), TitleOf(outcome).c_str());
      EXPECT_FALSE(shape.is_forbidden(outcome)) << TitleOf(outcome) << ", seen " << times;
    }
  }
}

}  // namespace
}  // namespace clustix::netns
