// SPDX-License-Identifier: Apache-2.0
//
// The litmus tests of memory models. Each runs in many worlds, over all kinds of sets, undisturbed,
// beside a node that crashes, and with a node cut off for a while. The outcomes must be those that
// one order of all steps allows: none but these, and every one of them, or the worlds would be too
// tame to show anything.
#include "tests/sim/kddm/litmus.h"

#include <vector>

#include "gtest/gtest.h"

namespace clustix::sim {
namespace {

using kddm::Durability;
using What = LitmusStep::What;

constexpr size_t x = 0, y = 1;
constexpr uint64_t kSeeds = 400;  // per kind of set and fault

LitmusStep R(size_t object) { return {.what = What::kRead, .object = object, .value = 0}; }
LitmusStep W(size_t object, Value value) {
  return {.what = What::kWrite, .object = object, .value = value};
}
LitmusStep Inc(size_t object) { return {.what = What::kIncrement, .object = object, .value = 0}; }

void Expect(const Litmus& litmus, const Outcome& forbidden) {
  const Outcomes allowed = SequentialOutcomes(litmus);
  EXPECT_FALSE(allowed.contains(forbidden)) << "the test forbids what is allowed";
  Outcomes reached;
  for (const Durability durability : {Durability::kVolatile, Durability::kReplicas2,
                                      Durability::kReplicas3, Durability::kLinked}) {
    for (const LitmusFault fault :
         {LitmusFault::kNone, LitmusFault::kCrash, LitmusFault::kPartition}) {
      // A crash may take a volatile object with it, which is not what these tests are about.
      if (fault == LitmusFault::kCrash && durability == Durability::kVolatile) continue;
      for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const auto outcome = RunLitmus(litmus, durability, fault, seed);
        ASSERT_TRUE(outcome.has_value()) << "a step does not end, seed " << seed;
        EXPECT_TRUE(allowed.contains(*outcome))
            << Describe(*outcome) << " in a set of kind " << static_cast<int>(durability)
            << " with fault " << static_cast<int>(fault) << ", seed " << seed;
        reached.insert(*outcome);
      }
    }
  }
  for (const Outcome& outcome : allowed) {
    EXPECT_TRUE(reached.contains(outcome)) << Describe(outcome) << " is allowed, but never seen";
  }
}

TEST(Litmus, Store_buffering_never_lets_both_writers_read_the_old) {
  Expect({.threads = {{W(x, 1), R(y)}, {W(y, 1), R(x)}}}, {0, 0});
}

TEST(Litmus, Message_passing_never_shows_the_flag_without_the_message) {
  Expect({.threads = {{W(x, 1), W(y, 1)}, {R(y), R(x)}}}, {1, 0});
}

TEST(Litmus, Load_buffering_never_lets_both_read_what_is_written_later) {
  Expect({.threads = {{R(x), W(y, 1)}, {R(y), W(x, 1)}}}, {1, 1});
}

TEST(Litmus, Independent_readers_never_see_independent_writes_in_different_orders) {
  Expect({.threads = {{W(x, 1)}, {W(y, 1)}, {R(x), R(y)}, {R(y), R(x)}}}, {1, 0, 1, 0});
}

TEST(Litmus, A_write_that_follows_from_another_is_never_seen_without_that) {
  Expect({.threads = {{W(x, 1)}, {R(x), W(y, 1)}, {R(y), R(x)}}}, {1, 1, 0});
}

TEST(Litmus, Two_pairs_of_writes_never_both_end_with_the_first) {
  Expect({.threads = {{W(x, 1), W(y, 2)}, {W(y, 1), W(x, 2)}}, .finals = true}, {1, 1});
}

TEST(Litmus, Reads_of_one_object_never_go_back) {
  Expect({.threads = {{W(x, 1)}, {R(x), R(x)}}}, {1, 0});
}

TEST(Litmus, Readers_of_one_object_agree_on_the_order_of_writes) {
  Expect({.threads = {{W(x, 1)}, {W(x, 2)}, {R(x), R(x)}, {R(x), R(x)}}}, {1, 2, 2, 1});
}

TEST(Litmus, Two_sharers_that_both_want_to_write_lose_no_update) {
  Expect({.threads = {{R(x), Inc(x)}, {R(x), Inc(x)}}, .finals = true}, {0, 0, 0, 0, 1});
}

TEST(Litmus, A_put_that_crosses_a_recall_is_neither_lost_nor_repeated) {
  Expect({.threads = {{Inc(x), Inc(x)}, {Inc(x)}, {R(x)}}, .finals = true}, {0, 1, 1, 2, 2});
}

TEST(SequentialOutcomes, Has_every_order_of_the_steps_and_no_other) {
  EXPECT_EQ(SequentialOutcomes({.threads = {{W(x, 1), R(y)}, {W(y, 1), R(x)}}}),
            (Outcomes{{0, 1}, {1, 0}, {1, 1}}));
  EXPECT_EQ(SequentialOutcomes({.threads = {{W(x, 1)}, {W(x, 2)}}, .finals = true}),
            (Outcomes{{1}, {2}}));
}

}  // namespace
}  // namespace clustix::sim
