// SPDX-License-Identifier: Apache-2.0
#include "daemon/read_ahead.h"

#include <gtest/gtest.h>

#include "proto/proc.capnp.h"

namespace clustix::daemon {
namespace {

using procview::Asker;
using std::chrono::milliseconds;
using TimePoint = ReadAhead::TimePoint;

constexpr milliseconds kAge{100};
constexpr Asker kRoot = {0, 0}, kUser = {1000, 1000};
const TimePoint kStart = TimePoint() + std::chrono::hours(1);

std::vector<ReadAhead::NextFile> Files(std::initializer_list<int32_t> pids) {
  std::vector<ReadAhead::NextFile> files;
  for (int32_t pid : pids) files.push_back({pid, {0, std::to_string(pid)}});
  return files;
}

TEST(ReadAhead, Asks_for_one_file_until_a_second_process_is_asked_for) {
  ReadAhead ahead(kAge);
  EXPECT_EQ(ahead.Window(2, 10, "cgroup", kRoot, kStart), 0u);
  EXPECT_EQ(ahead.Window(2, 10, "cgroup", kRoot, kStart), 0u) << "the same process again";
  EXPECT_EQ(ahead.Window(2, 11, "environ", kRoot, kStart), 0u) << "another file";
  EXPECT_EQ(ahead.Window(3, 11, "cgroup", kRoot, kStart), 0u) << "another node";
  EXPECT_EQ(ahead.Window(2, 11, "cgroup", kUser, kStart), 0u) << "somebody else";
  EXPECT_EQ(ahead.Window(2, 11, "cgroup", kRoot, kStart + kAge), ReadAhead::kFirstWindow);
  EXPECT_EQ(ahead.Window(2, 12, "cgroup", kRoot, kStart + 3 * kAge), 0u) << "much later";
}

TEST(ReadAhead, Asks_for_more_each_time_up_to_the_limit) {
  ReadAhead ahead(kAge);
  ahead.Window(2, 1, "cgroup", kRoot, kStart);
  uint32_t last = 0;
  for (int32_t pid = 2; pid < 20; ++pid) {
    const uint32_t window = ahead.Window(2, pid, "cgroup", kRoot, kStart);
    EXPECT_GE(window, last);
    EXPECT_LE(window, proto::FILE_NEXT_MAX);
    last = window;
  }
  EXPECT_EQ(last, proto::FILE_NEXT_MAX);
}

TEST(ReadAhead, Hands_an_answer_to_its_asker_once_and_while_it_is_young) {
  ReadAhead ahead(kAge);
  ahead.Window(2, 1, "environ", kUser, kStart);
  ahead.Keep(2, "environ", kUser, kStart, Files({5, 7}));
  EXPECT_FALSE(ahead.Take(2, 5, "environ", kRoot, kStart)) << "decided for another";
  EXPECT_FALSE(ahead.Take(2, 6, "environ", kUser, kStart));
  const auto taken = ahead.Take(2, 5, "environ", kUser, kStart + kAge);
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->text, "5");
  EXPECT_FALSE(ahead.Take(2, 5, "environ", kUser, kStart + kAge)) << "time has passed for him";
  EXPECT_FALSE(ahead.Take(2, 7, "environ", kUser, kStart + kAge + milliseconds(1)));
}

TEST(ReadAhead, Begins_anew_with_one_file_when_what_was_asked_for_did_not_come) {
  ReadAhead ahead(kAge);
  ahead.Window(2, 1, "environ", kUser, kStart);
  EXPECT_EQ(ahead.Window(2, 2, "environ", kUser, kStart), ReadAhead::kFirstWindow);
  ahead.GiveUp(2, "environ", kUser);
  EXPECT_EQ(ahead.Window(2, 3, "environ", kUser, kStart), 0u);
}

TEST(ReadAhead, Remembers_only_so_many_walks) {
  ReadAhead ahead(kAge);
  for (uint32_t uid = 0; uid <= ReadAhead::kWalksMax; ++uid) {
    ahead.Window(2, 1, "io", {uid, uid}, kStart + milliseconds(uid) / 10);
  }
  const TimePoint now = kStart + milliseconds(10);
  EXPECT_EQ(ahead.Window(2, 2, "io", {ReadAhead::kWalksMax, ReadAhead::kWalksMax}, now),
            ReadAhead::kFirstWindow);
  EXPECT_EQ(ahead.Window(2, 2, "io", {0, 0}, now), 0u) << "the oldest is forgotten";
}

}  // namespace
}  // namespace clustix::daemon
