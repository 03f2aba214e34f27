// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/pgrep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/procview/global_pid.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<int32_t> Found(const PgrepOptions& options) {
  const auto rows = Pgrep(RecordedCluster(), options);
  std::vector<int32_t> gpids;
  if (!rows.ok()) return {-1};
  for (const PsRow& row : *rows) gpids.push_back(row.gpid);
  return gpids;
}

PgrepOptions Pattern(const std::string& pattern) {
  PgrepOptions options;
  options.pattern = pattern;
  return options;
}

TEST(Pgrep, Finds_names_on_all_nodes_and_on_those_chosen) {
  PgrepOptions options = Pattern("^slee");
  EXPECT_EQ(Found(options).size(), 5u);
  options.nodes = {"1,node3"};
  for (int32_t gpid : Found(options)) EXPECT_NE(NodeOfGlobalPid(gpid), 2);
  options.nodes = {"9"};
  EXPECT_EQ(Pgrep(RecordedCluster(), options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Pgrep, Matches_a_part_or_the_whole_in_any_case_if_asked_to) {
  PgrepOptions options = Pattern("lee");
  EXPECT_FALSE(Found(options).empty());
  options.exact = true;
  EXPECT_THAT(Found(options), IsEmpty());
  options.pattern = "SLEEP";
  EXPECT_THAT(Found(options), IsEmpty());
  options.ignore_case = true;
  EXPECT_EQ(Found(options), Found(Pattern("sleep")));
  // A choice is matched as a whole, too.
  options.pattern = "x|sleep";
  EXPECT_EQ(Found(options), Found(Pattern("sleep")));
}

TEST(Pgrep, Matches_the_name_alone_unless_the_command_line_is_asked_for) {
  PgrepOptions options = Pattern("sleep [0-9]");
  EXPECT_THAT(Found(options), IsEmpty());
  options.full = true;
  EXPECT_FALSE(Found(options).empty());
}

TEST(Pgrep, Chooses_by_user_and_leaves_out_who_asks) {
  PgrepOptions options = Pattern("");
  options.uids = {65534};
  const std::vector<int32_t> users = Found(options);
  EXPECT_THAT(users, testing::Contains(GlobalPid(1, 4)));
  options.caller_gpid = GlobalPid(1, 4);
  EXPECT_EQ(Found(options).size(), users.size() - 1);
  options.uids = {12345};
  EXPECT_THAT(Found(options), IsEmpty());
}

TEST(Pgrep, Inverts_the_whole_choice) {
  PgrepOptions all = Pattern(""), some = Pattern("sleep"), others = Pattern("sleep");
  others.invert = true;
  EXPECT_EQ(Found(some).size() + Found(others).size(), Found(all).size());
}

TEST(Pgrep, Tells_the_newest_and_the_oldest_of_all_nodes) {
  const auto rows = *Pgrep(RecordedCluster(), Pattern(""));
  PgrepOptions options = Pattern("");
  options.newest = true;
  const auto newest = *Pgrep(RecordedCluster(), options);
  options.newest = false;
  options.oldest = true;
  const auto oldest = *Pgrep(RecordedCluster(), options);
  ASSERT_EQ(newest.size(), 1u);
  ASSERT_EQ(oldest.size(), 1u);
  for (const PsRow& row : rows) {
    EXPECT_GE(row.start_time_s, oldest[0].start_time_s);
    EXPECT_LE(row.start_time_s, newest[0].start_time_s);
    if (row.start_time_s == newest[0].start_time_s) {
      EXPECT_LE(row.gpid, newest[0].gpid);
    }
    if (row.start_time_s == oldest[0].start_time_s) {
      EXPECT_GE(row.gpid, oldest[0].gpid);
    }
  }
  options.pattern = "no such process";
  EXPECT_THAT(Found(options), IsEmpty());
}

TEST(Pgrep, Explains_a_pattern_that_is_none) {
  const auto rows = Pgrep(RecordedCluster(), Pattern("a("));
  EXPECT_EQ(rows.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(rows.status().message().find("not a regular expression: a("), std::string::npos);
}

}  // namespace
}  // namespace clustix::procview
