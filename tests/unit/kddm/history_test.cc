// SPDX-License-Identifier: Apache-2.0
//
// The judges of the simulation: they must find fault with what is wrong.
#include "tests/sim/kddm/history.h"

#include <vector>

#include "gtest/gtest.h"

namespace clustix::sim {
namespace {

using What = Call::What;

Call At(uint64_t invoked, uint64_t returned, What what, Value seen, Value written,
        uint32_t client = 0, uint32_t object = 0) {
  return {.what = what,
          .client = client,
          .object = object,
          .invoked = invoked,
          .returned = returned,
          .seen = seen,
          .written = written};
}
Call Write(uint64_t invoked, uint64_t returned, Value value) {
  return At(invoked, returned, What::kWrite, value, value);
}
Call Read(uint64_t invoked, uint64_t returned, Value value) {
  return At(invoked, returned, What::kRead, value, 0);
}
bool Fits(const std::vector<Call>& calls, bool may_be_lost = false) {
  return JudgeLinearizable(calls, may_be_lost).ok;
}

TEST(History, Accepts_overlapping_calls_in_either_order) {
  EXPECT_TRUE(Fits({Write(1, 4, 1), Write(2, 5, 2), Read(6, 7, 1)}));
  EXPECT_TRUE(Fits({Write(1, 4, 1), Write(2, 5, 2), Read(6, 7, 2)}));
}

TEST(History, Rejects_a_stale_read) {
  EXPECT_FALSE(Fits({Write(1, 2, 1), Write(3, 4, 2), Read(5, 6, 1)}));
}

TEST(History, Rejects_a_lost_update) {
  EXPECT_FALSE(
      Fits({Write(1, 2, 1), At(3, 5, What::kUpdate, 1, 2), At(4, 6, What::kUpdate, 1, 3)}));
}

TEST(History, Rejects_a_value_that_is_seen_and_then_taken_back) {
  EXPECT_FALSE(Fits({Write(1, 2, 1), Write(3, kNever, 2), Read(4, 5, 2), Read(6, 7, 1)}));
}

TEST(History, Rejects_a_value_that_nobody_wrote) { EXPECT_FALSE(Fits({Read(1, 2, 9)})); }

TEST(History, Rejects_an_object_that_two_touches_made) {
  EXPECT_FALSE(Fits({At(1, 2, What::kTouch, 1, 1), At(3, 4, What::kTouch, 2, 2)}));
}

TEST(History, Rejects_a_removed_value) {
  EXPECT_FALSE(Fits({Write(1, 2, 1), At(3, 4, What::kRemove, 0, 0), Read(5, 6, 1)}));
}

TEST(History, Lets_a_call_without_an_end_have_happened_or_not) {
  EXPECT_TRUE(Fits({Write(1, kNever, 1), Read(2, 3, 1)}));
  EXPECT_TRUE(Fits({Write(1, kNever, 1), Read(2, 3, 0)}));
}

TEST(History, Allows_a_loss_only_where_it_may_happen_and_for_good) {
  const std::vector<Call> lost = {Write(1, 2, 1), Read(3, 4, kLostValue)};
  EXPECT_FALSE(Fits(lost));
  EXPECT_TRUE(Fits(lost, true));
  const std::vector<Call> back = {Write(1, 2, 1), Read(3, 4, kLostValue), Read(5, 6, 1)};
  EXPECT_FALSE(Fits(back, true));
  const std::vector<Call> made = {Write(1, 2, 1), Read(3, 4, kLostValue),
                                  At(5, 6, What::kTouch, 2, 2)};
  EXPECT_FALSE(Fits(made, true)) << "first touch is not to make a lost object again";
}

TEST(History, Rejects_store_buffering_across_objects) {
  const std::vector<Call> calls = {
      At(1, 2, What::kWrite, 1, 1, 1, 0), At(3, 4, What::kRead, 0, 0, 1, 1),
      At(1, 2, What::kWrite, 2, 2, 2, 1), At(3, 4, What::kRead, 0, 0, 2, 0)};
  EXPECT_FALSE(JudgeSequential(calls).ok);
}

TEST(History, Accepts_one_order_that_suits_every_client) {
  const std::vector<Call> calls = {
      At(1, 2, What::kWrite, 1, 1, 1, 0), At(3, 4, What::kRead, 0, 0, 1, 1),
      At(1, 2, What::kWrite, 2, 2, 2, 1), At(3, 4, What::kRead, 1, 0, 2, 0)};
  EXPECT_TRUE(JudgeSequential(calls).ok);
}

TEST(History, Rejects_independent_readers_that_disagree) {
  const std::vector<Call> calls = {
      At(1, 9, What::kWrite, 1, 1, 1, 0), At(1, 9, What::kWrite, 2, 2, 2, 1),
      At(2, 3, What::kRead, 1, 0, 3, 0),  At(4, 5, What::kRead, 0, 0, 3, 1),
      At(2, 3, What::kRead, 2, 0, 4, 1),  At(4, 5, What::kRead, 0, 0, 4, 0)};
  EXPECT_FALSE(JudgeSequential(calls).ok);
}

TEST(History, Accepts_a_stale_read_that_no_client_can_notice) {
  const std::vector<Call> calls = {At(1, 2, What::kWrite, 1, 1, 1, 0),
                                   At(3, 4, What::kRead, 0, 0, 2, 0)};
  EXPECT_TRUE(JudgeSequential(calls).ok) << "sequential consistency knows no time";
  EXPECT_FALSE(JudgeLinearizable(calls, false).ok);
}

TEST(History, Rejects_a_client_that_does_not_see_its_own_write) {
  const std::vector<Call> calls = {At(1, 2, What::kWrite, 1, 1, 1, 0),
                                   At(3, 4, What::kRead, 0, 0, 1, 0)};
  EXPECT_FALSE(JudgeSequential(calls).ok);
}

TEST(History, Lets_a_call_without_an_end_stand_anywhere_in_the_order_of_all) {
  const Call open = At(1, kNever, What::kWrite, 1, 1, 1, 0);
  EXPECT_TRUE(
      JudgeSequential({open, At(2, 3, What::kRead, 0, 0, 2, 0), At(4, 5, What::kRead, 1, 0, 2, 0)})
          .ok);
  EXPECT_TRUE(JudgeSequential({open, At(2, 3, What::kRead, 0, 0, 2, 0)}).ok);
  EXPECT_FALSE(
      JudgeSequential({open, At(2, 3, What::kRead, 1, 0, 2, 0), At(4, 5, What::kRead, 0, 0, 2, 0)})
          .ok);
}

}  // namespace
}  // namespace clustix::sim
