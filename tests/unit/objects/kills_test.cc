// SPDX-License-Identifier: Apache-2.0
//
// Programs that use objects in every way and are killed with SIGKILL, at any instruction or at any
// time. Whatever they leave: no object is torn or held, no acknowledged write is lost, and the
// daemon has back all that it gave them.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "lib/base/unique_fd.h"
#include "tests/unit/objects/journaled_cluster.h"

namespace clustix {
namespace {

constexpr uint64_t kAtOnce = 8;
// Then everything is looked at.
constexpr uint64_t kBatch = 250;
// Children that wait for somebody else to die do not do so for ever.
constexpr std::chrono::seconds kLifeMax{2};
// Times in which something happens: a hit, a request, several.
constexpr std::array<uint64_t, 4> kTimesNs = {2'000, 20'000, 200'000, 2'000'000};
constexpr std::array<uint64_t, 3> kInstructions = {16, 64, 256};

// Ends with 3 if something was ever wrong, and says what; else it is killed.
int LiveUntilKilled(const std::string& socket, Journal& journal, uint64_t seed) {
  base::Prng prng(seed);
  const bool from_the_start = prng.Chance(1, 10);
  // With little behind it, or much.
  uint64_t free_turns = prng.Below(prng.Chance(1, 4) ? 60 : 8);
  const auto meet_death = [&] {
    // A step takes microseconds: only time gets far.
    if (CanStep() && prng.Chance(1, 3)) {
      return DieAfterInstructions(prng.Below(kInstructions[prng.Below(kInstructions.size())]));
    }
    const uint64_t most = from_the_start ? kTimesNs.back() : kTimesNs[prng.Below(kTimesNs.size())];
    DieAfter(std::chrono::nanoseconds(1 + prng.Below(most)));
  };
  if (from_the_start) {
    meet_death();
  } else {
    DieAfter(kLifeMax);
  }
  std::optional<RandomProgram> program;
  std::string wrong = RandomProgram::Connect(socket, journal, seed, &program);
  while (wrong.empty()) {
    if (!from_the_start && free_turns-- == 0) meet_death();
    wrong = program->Turn();
  }
  fprintf(stderr, "program %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
  return 3;
}

class KilledPrograms : public JournaledCluster {};

TEST_F(KilledPrograms, Leave_nothing_behind_whichever_their_last_instruction) {
  Start([this](uint64_t seed) {
    base::Prng prng(~seed);
    return LiveUntilKilled(AnySocket(prng), journal_, seed);
  });
  for (uint64_t killed = 0; killed < ProgramsToKill() && !HasFailure(); killed += kBatch) {
    for (const Nursery::Death& death : nursery_->Raise(killed, kBatch, kAtOnce)) {
      // SIGTRAP: it was stepping where the C library lets no signal through.
      const int by = WIFSIGNALED(death.status) ? WTERMSIG(death.status) : 0;
      EXPECT_TRUE(by == SIGKILL || by == SIGTRAP)
          << "program " << death.seed << " has ended by itself: status " << death.status;
    }
    ExpectIntact();
  }
  EXPECT_EQ(Sum("sets_broken_regions"), 0u) << "none did wrong";
  EXPECT_GT(Acknowledged(), ProgramsToKill() / 10) << "they did something";
  EXPECT_GT(Sum("sets_loans_seized"), 0u);
}

class ProgramsWithChildren : public LoopbackCluster {};

TEST_F(ProgramsWithChildren, End_though_a_child_has_their_socket) {
  std::array<int, 2> living{};  // the child lives until this test closes its end
  ASSERT_EQ(pipe2(living.data(), O_CLOEXEC), 0);
  const base::UniqueFd in(living[0]);
  base::UniqueFd out(living[1]);
  const std::string folder = dir_.path();
  Nursery nursery([&](uint64_t) {
    out.Reset();
    std::string socket;
    if (!std::getline(std::ifstream(folder + "/socket"), socket)) return 1;
    const auto program = RawProgram::Connect(socket);
    if (program == nullptr || !program->Attach().empty()) return 2;
    const auto set = program->Open("test/a");
    if (program->Ask(RawProgram::Kind::kGrab, set.handle, 1).status !=
        RawProgram::Status::kNotFound)
      return 3;
    if (fork() != 0) _exit(0);
    char byte;
    return static_cast<int>(read(in.get(), &byte, 1));
  });
  StartNodes(1, {.max_hold_ms = 3'600'000});
  std::ofstream(folder + "/socket") << node(1).socket_path() << "\n";
  const auto other = Program(1);
  const auto set = other->Open("test/a");
  const std::vector<Nursery::Death> deaths = nursery.Raise(1, 1, 1);
  ASSERT_EQ(deaths.size(), 1u);
  ASSERT_EQ(deaths[0].status, 0);
  EXPECT_EQ(other->Ask(RawProgram::Kind::kGrab, set.handle, 1, "", 20'000).status,
            RawProgram::Status::kNotFound)
      << "nobody holds it any more";
}

}  // namespace
}  // namespace clustix
