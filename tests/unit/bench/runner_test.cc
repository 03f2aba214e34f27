// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr Case kCall{Mode::kSync, 64, 1};
constexpr Case kStream{Mode::kOneway, 64, 1};

constexpr const char* kServes = "echo listening 127.0.0.1:1; read line || true";
constexpr const char* kAnswers =
    R"(echo '{"messages": 10, "seconds": 0.1, "p50_us": 5, "p99_us": 9, "latency_us": [],
              "cpu_us_per_msg": 1, "mb_per_s": 1}' | tr -d '\n'; echo)";

class Runner : public testing::Test {
 protected:
  // A peer whose program is a shell script.
  BuiltPeer Script(const std::string& name, const std::string& serve, const std::string& run,
                   std::vector<Mode> modes = {Mode::kSync, Mode::kOneway}) {
    const std::string path = dir_.path() + "/" + name;
    std::ofstream(path) << "#!/bin/sh\ncase $1 in\nserve) " << serve << " ;;\nrun) " << run
                        << " ;;\nesac\n";
    chmod(path.c_str(), 0755);
    return {.description = {.name = name, .title = name, .modes = std::move(modes)},
            .program = path};
  }

  RunResult Run(Plan plan) {
    plan.pin = false;
    return RunPlan(
        plan,
        [this](const Step& step) {
          steps_.push_back(std::to_string(step.round) + step.peer->description.name);
        },
        [](const Failure&) {});
  }

  TempDir dir_;
  std::vector<std::string> steps_;
};

TEST_F(Runner, Lets_peers_take_turns_in_every_round) {
  const RunResult result =
      Run({.peers = {Script("a", kServes, kAnswers), Script("b", kServes, kAnswers)},
           .cases = {kCall, kStream},
           .rounds = 2});
  EXPECT_THAT(steps_, ElementsAre("0a", "0b", "0a", "0b", "1a", "1b", "1a", "1b"));
  EXPECT_THAT(result.failures, SizeIs(0));
  ASSERT_THAT(result.rows, SizeIs(4));
  for (const Row& row : result.rows) {
    EXPECT_EQ(row.rounds, 2u);
    EXPECT_DOUBLE_EQ(row.msgs_per_s, 100);
  }
}

TEST_F(Runner, Starts_the_sides_where_the_stage_says) {
  // `env` takes a command line, as a stage's commands do. The address comes back through the
  // server.
  BuiltPeer peer = Script("far", "echo listening $3; read line || true",
                          "[ $3 = 7 ] && [ $SIDE = client ] || exit 1; " + std::string(kAnswers));
  peer.by_node = true;
  const RunResult result = Run({.peers = {peer},
                                .cases = {kCall},
                                .rounds = 1,
                                .stage = Stage{.server = {"/usr/bin/env", "SIDE=server"},
                                               .client = {"/usr/bin/env", "SIDE=client"},
                                               .server_address = "10.0.0.1:0",
                                               .server_node = "7"}});
  EXPECT_THAT(result.failures, SizeIs(0));
  EXPECT_THAT(result.rows, SizeIs(1));
}

TEST_F(Runner, Goes_on_with_others_after_a_peer_fails) {
  const RunResult result = Run({.peers = {Script("bad", kServes, "echo broken >&2; exit 1"),
                                          Script("good", kServes, kAnswers)},
                                .cases = {kCall},
                                .rounds = 3});
  ASSERT_THAT(result.rows, SizeIs(1));
  EXPECT_EQ(result.rows[0].peer, "good");
  EXPECT_EQ(result.rows[0].rounds, 3u);
  // Not asked a third time.
  ASSERT_THAT(result.failures, SizeIs(2));
  EXPECT_EQ(result.failures[0].peer, "bad");
  EXPECT_THAT(result.failures[0].reason, HasSubstr("broken"));
}

TEST_F(Runner, Takes_no_figure_from_bad_output) {
  const RunResult result =
      Run({.peers = {Script("noise", kServes, "echo hello"), Script("silent", kServes, "exit 0"),
                     Script("liar", kServes, "echo '{\"messages\": -5}'")},
           .cases = {kCall},
           .rounds = 1});
  EXPECT_THAT(result.rows, SizeIs(0));
  EXPECT_THAT(result.failures, SizeIs(3));
}

TEST_F(Runner, Takes_no_figure_if_the_server_ends_badly) {
  const RunResult result =
      Run({.peers = {Script("leaky", std::string(kServes) + "; echo leaked >&2; exit 1", kAnswers),
                     Script("early", "echo not today >&2; exit 1", kAnswers)},
           .cases = {kCall},
           .rounds = 1});
  EXPECT_THAT(result.rows, SizeIs(0));
  ASSERT_THAT(result.failures, SizeIs(2));
  EXPECT_THAT(result.failures[0].reason, HasSubstr("leaked"));
  EXPECT_THAT(result.failures[1].reason, HasSubstr("not today"));
}

TEST_F(Runner, Asks_a_peer_only_for_modes_that_it_has) {
  const RunResult result = Run({.peers = {Script("calls", kServes, kAnswers, {Mode::kSync})},
                                .cases = {kCall, kStream},
                                .rounds = 1});
  EXPECT_THAT(result.rows, SizeIs(1));
}

TEST_F(Runner, Stops_when_interrupted_and_keeps_what_there_is) {
  base::UniqueFd interrupt(eventfd(0, EFD_CLOEXEC));
  Plan plan{.peers = {Script("first", kServes, kAnswers), Script("endless", kServes, "read line")},
            .cases = {kCall},
            .rounds = 1,
            .pin = false,
            .interrupt_fd = interrupt.get()};
  const RunResult result = RunPlan(
      plan,
      [&](const Step& step) {
        if (step.peer->description.name == "endless") eventfd_write(interrupt.get(), 1);
      },
      [](const Failure&) {});
  EXPECT_TRUE(result.interrupted);
  ASSERT_THAT(result.rows, SizeIs(1));
  EXPECT_EQ(result.rows[0].peer, "first");
}

TEST(Cases, Combine_what_is_chosen) {
  const std::vector<Case> cases = CasesOf(
      {.modes = {Mode::kSync, Mode::kAsync}, .sizes_bytes = {64, 4096}, .windows = {64, 1024}});
  EXPECT_THAT(cases, ElementsAre(Case{Mode::kSync, 64, 1}, Case{Mode::kSync, 4096, 1},
                                 Case{Mode::kAsync, 64, 64}, Case{Mode::kAsync, 64, 1024},
                                 Case{Mode::kAsync, 4096, 64}, Case{Mode::kAsync, 4096, 1024}));
}

TEST(Cases, Leave_out_more_than_memory_should_hold) {
  const std::vector<Case> cases =
      CasesOf({.modes = {Mode::kAsync}, .sizes_bytes = {1024 * 1024}, .windows = {64, 1024}});
  EXPECT_THAT(cases, ElementsAre(Case{Mode::kAsync, 1024 * 1024, 64}));
}

}  // namespace
}  // namespace clustix::bench
