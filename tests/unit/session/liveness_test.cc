// SPDX-License-Identifier: Apache-2.0
// Who is alive, who is suspect, and how fast a path is tried again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/session/pair.h"

namespace clustix::session_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Liveness, Idle_connections_stay_up_by_probes) {
  Pair pair;
  pair.Advance(60'000 * kMs);
  EXPECT_THAT(pair.one().events, ElementsAre(KCCM_EVENT_UP));
  EXPECT_THAT(pair.two().events, ElementsAre(KCCM_EVENT_UP));
  EXPECT_EQ(pair.one().stats().connects, 2u);
}

TEST(Liveness, Silence_makes_a_peer_suspect_and_then_dead) {
  Pair pair;
  pair.Settle();
  pair.swallow = true;
  pair.refuse_dials = true;
  pair.Advance((KCCM_TOLERANCE_MS + 10) * kMs);
  EXPECT_THAT(pair.one().events,
              ElementsAre(KCCM_EVENT_UP, KCCM_EVENT_PATH_DOWN, KCCM_EVENT_SUSPECT));
  pair.Advance(KCCM_TOLERANCE_MS * KCCM_DEAD_FACTOR * kMs);
  EXPECT_EQ(pair.one().events.back(), KCCM_EVENT_PEER_DEAD);
  pair.swallow = false;
  pair.refuse_dials = false;
  pair.Advance(KCCM_BACKOFF_LAST_MS * kMs);
  EXPECT_EQ(pair.one().events.back(), KCCM_EVENT_UP);
  EXPECT_EQ(pair.two().events.back(), KCCM_EVENT_UP);
}

TEST(Liveness, A_lost_connection_alone_makes_nobody_suspect) {
  Pair pair;
  pair.Settle();
  pair.Cut();
  pair.Advance(200 * kMs);
  EXPECT_THAT(pair.one().events, ElementsAre(KCCM_EVENT_UP, KCCM_EVENT_PATH_DOWN, KCCM_EVENT_UP));
}

TEST(Liveness, A_peer_that_was_never_heard_becomes_suspect_too) {
  Pair pair;
  pair.refuse_dials = true;
  pair.Advance((KCCM_TOLERANCE_MS + 10) * kMs);
  EXPECT_THAT(pair.one().events, ElementsAre(KCCM_EVENT_SUSPECT));
}

TEST(Liveness, A_node_that_was_stopped_does_not_blame_its_peers) {
  Pair pair;
  pair.Settle();
  // Neither node runs for a while; what each had sent waits in the sockets.
  pair.now += 10'000 * kMs;
  pair.Settle();
  pair.Advance(1000 * kMs);
  EXPECT_THAT(pair.one().events, ElementsAre(KCCM_EVENT_UP));
}

TEST(Liveness, A_node_that_did_not_run_does_not_blame_peers_it_has_no_connection_to) {
  Pair pair;
  pair.now += 10'000 * kMs;  // from adding the peers to the first turn
  pair.Settle();
  EXPECT_THAT(pair.one().events, ElementsAre(KCCM_EVENT_UP));
  EXPECT_THAT(pair.two().events, ElementsAre(KCCM_EVENT_UP));
  pair.Cut();
  pair.now += 10'000 * kMs;
  pair.Settle();
  EXPECT_THAT(pair.one().events, ElementsAre(KCCM_EVENT_UP, KCCM_EVENT_PATH_DOWN, KCCM_EVENT_UP));
  EXPECT_THAT(pair.two().events, ElementsAre(KCCM_EVENT_UP, KCCM_EVENT_PATH_DOWN, KCCM_EVENT_UP));
}

TEST(Liveness, Dials_back_off_to_two_seconds_and_start_over_after_success) {
  Pair pair;
  pair.refuse_dials = true;
  pair.Advance(60'000 * kMs);
  const uint64_t dials = pair.one().stats().dials_failed;
  // Two lanes, at most one dial in 50 ms and in the long run about one a second each.
  EXPECT_GT(dials, 2 * 60'000u / KCCM_BACKOFF_LAST_MS);
  EXPECT_LT(dials, 2 * 60'000u / 400);
  pair.refuse_dials = false;
  pair.Advance(KCCM_BACKOFF_LAST_MS * kMs);
  ASSERT_EQ(pair.one().events.back(), KCCM_EVENT_UP);
  pair.Cut();
  pair.Advance(1 * kMs);
  EXPECT_EQ(pair.one().events.back(), KCCM_EVENT_UP);  // at once
}

TEST(Liveness, One_byte_now_and_then_is_a_sign_of_life) {
  Pair pair;
  pair.Settle();
  pair.chunk = 1;
  pair.two().auto_consume = true;
  for (int i = 0; i < 10; ++i) {
    pair.one().Send(std::string(1000, 'x'));
    pair.Advance(400 * kMs);
  }
  EXPECT_THAT(pair.two().events, ElementsAre(KCCM_EVENT_UP));
}

TEST(Liveness, Names_are_there_for_every_value) {
  EXPECT_STREQ(kccm_event_name(KCCM_EVENT_REBOOTED), "rebooted");
  EXPECT_STREQ(kccm_peer_state_name(KCCM_PEER_DEAD), "dead");
  EXPECT_STREQ(kccm_refusal_name(KCCM_REFUSE_DIRECTION), "direction");
  EXPECT_STREQ(kccm_refusal_name(KCCM_REFUSALS), "?");
}

}  // namespace
}  // namespace clustix::session_test
