// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <thread>

#include "lib/cache/client_region.h"
#include "lib/cache/host_region.h"
#include "tests/unit/cache/test_node.h"

namespace clustix::cache {
namespace {

struct RegionTest : testing::Test {
  TestNode node;
  std::unique_ptr<TestClient> client = node.Attach();
  ClientRegion& mine = *client->region;
  HostRegion& theirs = *client->host_region;

  static bool Rings(const Bell& bell) {
    pollfd entry = {bell.fd().get(), POLLIN, 0};
    return poll(&entry, 1, 0) == 1;
  }
  static uint64_t Soon() { return MonotonicNs() + 60 * kNsPerSecond; }
};

TEST_F(RegionTest, Carries_questions_and_answers) {
  ASSERT_EQ(mine.Ask({.cookie = 5, .kind = 2, .set = 3, .object = 4}), RingResult::kDone);
  Request request;
  ASSERT_EQ(theirs.NextRequest(&request), RingResult::kDone);
  EXPECT_EQ(request.cookie, 5u);
  EXPECT_EQ(request.object, 4u);
  EXPECT_EQ(theirs.NextRequest(&request), RingResult::kNotNow);
  ASSERT_EQ(theirs.Answer({.cookie = 5, .status = 9}), RingResult::kDone);
  const Reply reply = Must(mine.AwaitReply(Soon()));
  EXPECT_EQ(reply.cookie, 5u);
  EXPECT_EQ(reply.status, 9u);
}

TEST_F(RegionTest, Rings_for_a_daemon_that_sleeps_and_for_no_other) {
  ASSERT_EQ(mine.Ask({}), RingResult::kDone);
  EXPECT_FALSE(Rings(theirs.bell()));
  EXPECT_FALSE(node.host->PrepareToSleep());  // there is work
  Request request;
  ASSERT_EQ(theirs.NextRequest(&request), RingResult::kDone);
  EXPECT_TRUE(node.host->PrepareToSleep());
  EXPECT_FALSE(Rings(theirs.bell()));
  ASSERT_EQ(mine.Ask({}), RingResult::kDone);
  EXPECT_TRUE(Rings(theirs.bell()));
  node.host->Awake();
  EXPECT_TRUE(theirs.bell().Silence());
  EXPECT_FALSE(Rings(theirs.bell()));
}

TEST_F(RegionTest, Wakes_a_client_that_sleeps) {
  std::thread daemon([this] {
    for (uint64_t answered = 0; answered < 100;) {
      if (node.host->PrepareToSleep()) {
        pollfd bell = {theirs.bell().fd().get(), POLLIN, 0};
        poll(&bell, 1, -1);
        node.host->Awake();
        theirs.bell().Silence();
      }
      for (Request request; theirs.NextRequest(&request) == RingResult::kDone; ++answered) {
        theirs.Answer({.cookie = request.cookie});
      }
    }
  });
  for (uint64_t cookie = 0; cookie < 100; ++cookie) {
    ASSERT_EQ(mine.Ask({.cookie = cookie}), RingResult::kDone);
    ASSERT_EQ(Must(mine.AwaitReply(Soon())).cookie, cookie);
  }
  daemon.join();
}

TEST_F(RegionTest, Wakes_a_client_once_for_answers_that_others_follow) {
  std::array<Request, 3> requests;
  for (Request& request : requests) {
    ASSERT_EQ(mine.Ask({}), RingResult::kDone);
    ASSERT_EQ(theirs.NextRequest(&request), RingResult::kDone);
  }
  std::thread waits([this] { EXPECT_EQ(Must(mine.AwaitReply(Soon())).cookie, 1u); });
  ASSERT_EQ(theirs.Answer({.cookie = 1}, true), RingResult::kDone);
  ASSERT_EQ(theirs.Answer({.cookie = 2}, true), RingResult::kDone);
  EXPECT_EQ(theirs.unanswered(), 1u);
  theirs.Announce();
  waits.join();
  EXPECT_EQ(Must(mine.AwaitReply(Soon())).cookie, 2u);
  ASSERT_EQ(theirs.Answer({.cookie = 3}), RingResult::kDone);
  EXPECT_EQ(Must(mine.AwaitReply(Soon())).cookie, 3u);
}

TEST_F(RegionTest, Tells_a_client_that_waits_when_the_daemon_is_gone) {
  ASSERT_EQ(mine.Ask({.cookie = 1}), RingResult::kDone);
  ASSERT_EQ(mine.Ask({.cookie = 2}), RingResult::kDone);
  Request request;
  ASSERT_EQ(theirs.NextRequest(&request), RingResult::kDone);
  ASSERT_EQ(theirs.Answer({.cookie = 1}), RingResult::kDone);
  node.host->Detach(&theirs);
  EXPECT_EQ(Must(mine.AwaitReply(Soon())).cookie, 1u);  // what was said before counts
  EXPECT_TRUE(absl::IsUnavailable(mine.AwaitReply(Soon()).status()));
}

TEST_F(RegionTest, Tells_the_daemon_when_the_client_is_gone) {
  client.reset();
  EXPECT_TRUE(Rings(theirs.bell()));
  EXPECT_FALSE(theirs.bell().Silence());
}

TEST_F(RegionTest, Gives_up_waiting_at_the_deadline) {
  ASSERT_EQ(mine.Ask({}), RingResult::kDone);
  EXPECT_TRUE(absl::IsDeadlineExceeded(mine.AwaitReply(MonotonicNs()).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(mine.AwaitReply(MonotonicNs() + 2'000'000).status()));
}

TEST_F(RegionTest, Bounds_the_questions_that_wait_for_their_answers) {
  Request request;
  for (size_t i = 0; i < kRingSlots; ++i) {
    ASSERT_EQ(mine.Ask({.cookie = i}), RingResult::kDone);
    ASSERT_EQ(theirs.NextRequest(&request), RingResult::kDone);
  }
  EXPECT_EQ(mine.Ask({}), RingResult::kNotNow);
  for (size_t i = 0; i < kRingSlots; ++i) {
    ASSERT_EQ(theirs.Answer({.cookie = i}), RingResult::kDone);
  }
  EXPECT_EQ(mine.Ask({}), RingResult::kNotNow);  // their answers have not been taken
  EXPECT_EQ(Must(mine.AwaitReply(Soon())).cookie, 0u);
  EXPECT_EQ(mine.Ask({}), RingResult::kDone);
}

TEST_F(RegionTest, Says_which_bytes_are_staged_and_refuses_those_outside) {
  const uint32_t offset = *mine.staging_use().Take(100);
  mine.staging()[offset] = std::byte{3};
  const std::byte* staged = theirs.Staged({.staged_offset = offset, .staged_bytes = 100});
  ASSERT_NE(staged, nullptr);
  EXPECT_EQ(staged[0], std::byte{3});

  EXPECT_NE(theirs.Staged({.staged_offset = kStagingBytes - kObjectBytesMax,
                           .staged_bytes = kObjectBytesMax}),
            nullptr);
  for (const auto& [at, bytes] : {std::pair<uint32_t, uint32_t>{kStagingBytes - 64, 65},
                                  {1, 1},
                                  {0, kObjectBytesMax + 1},
                                  {0xffffffc0, 0x80},
                                  {kStagingBytes, 1}}) {
    EXPECT_EQ(theirs.Staged({.staged_offset = at, .staged_bytes = bytes}), nullptr) << at;
  }
}

}  // namespace
}  // namespace clustix::cache
