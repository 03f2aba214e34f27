// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/station.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>

namespace clustix::bench {
namespace {

using std::chrono::seconds;

absl::Status Echo(char order, Station::Result* result) {
  if (order == 'x') return absl::UnavailableError("cannot do that");
  if (order == 'k') raise(SIGKILL);
  result->value = order;
  return absl::OkStatus();
}

TEST(Station, Works_when_it_is_told_to) {
  auto station = Station::Start(nullptr, nullptr, Echo);
  ASSERT_TRUE(station.ok()) << station.status();
  for (const char order : {'a', 'b'}) {
    ASSERT_TRUE((*station)->Tell(order).ok());
    const auto result = (*station)->Await(cluster::After(seconds(30)));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->value, order);
    EXPECT_GE(result->ended_ns, result->began_ns);
    EXPECT_GT(result->began_ns, 0);
  }
}

TEST(Station, Says_why_its_work_failed_and_goes_on) {
  auto station = Station::Start(nullptr, nullptr, Echo);
  ASSERT_TRUE(station.ok()) << station.status();
  ASSERT_TRUE((*station)->Tell('x').ok());
  EXPECT_EQ((*station)->Await(cluster::After(seconds(30))).status().message(), "cannot do that");
  ASSERT_TRUE((*station)->Tell('a').ok());
  EXPECT_TRUE((*station)->Await(cluster::After(seconds(30))).ok());
}

TEST(Station, That_cannot_get_to_its_place_is_not_started) {
  const auto fail = [] { return absl::PermissionDeniedError("no way"); };
  EXPECT_EQ(Station::Start(fail, nullptr, Echo).status().message(), "no way");
  EXPECT_EQ(Station::Start(nullptr, fail, Echo).status().message(), "no way");
}

TEST(Station, That_dies_at_work_is_missed) {
  auto station = Station::Start(nullptr, nullptr, Echo);
  ASSERT_TRUE(station.ok()) << station.status();
  ASSERT_TRUE((*station)->Tell('k').ok());
  EXPECT_FALSE((*station)->Await(cluster::After(seconds(30))).ok());
}

}  // namespace
}  // namespace clustix::bench
