// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/hidepid.h"

#include <gtest/gtest.h>

#include <string>

namespace clustix::procview {
namespace {

Hidepid Of(const std::string& options) {
  return ParseHidepid(
      "35 1 254:0 / / rw - ext4 /dev/vda rw,hidepid=2\n36 35 0:5 / /proc rw shared:7 - proc proc " +
          options + "\n",
      36);
}

TEST(Hidepid, Is_what_the_mount_was_made_with) {
  EXPECT_FALSE(Of("rw").hides);
  EXPECT_FALSE(Of("rw,hidepid=off").hides);
  EXPECT_FALSE(Of("rw,hidepid=0,gid=4").hides);
  for (const char* value : {"noaccess", "invisible", "ptraceable", "1", "2", "4"}) {
    EXPECT_TRUE(Of(std::string("rw,hidepid=") + value).hides) << value;
  }
}

TEST(Hidepid, Lets_a_group_see_all_unless_only_tracers_may) {
  EXPECT_EQ(Of("rw,hidepid=invisible").seen_by_gid, 0u);
  EXPECT_EQ(Of("rw,gid=4,hidepid=invisible").seen_by_gid, 4u);
  EXPECT_EQ(Of("rw,gid=4,hidepid=ptraceable").seen_by_gid, UINT32_MAX);
  EXPECT_EQ(Of("rw,hidepid=ptraceable,gid=4").seen_by_gid, UINT32_MAX);
}

TEST(Hidepid, Is_that_of_the_mount_and_of_no_other) {
  const std::string mounts =
      "36 35 0:5 / /proc rw - proc proc rw,hidepid=invisible\n37 35 0:6 / /p rw - proc proc rw\n";
  EXPECT_TRUE(ParseHidepid(mounts, 36).hides);
  EXPECT_FALSE(ParseHidepid(mounts, 37).hides);
  EXPECT_FALSE(ParseHidepid(mounts, 3).hides);
  EXPECT_FALSE(ParseHidepid("", 36).hides);
  // It is no /proc, though it has such an option.
  EXPECT_FALSE(ParseHidepid("35 1 254:0 / / rw - ext4 /dev/vda rw,hidepid=2\n", 35).hides);
  for (const std::string broken :
       {"36", "36 - ", "36 35 - proc", "\n\n", "36 35 - proc proc ,,=,"}) {
    EXPECT_FALSE(ParseHidepid(broken, 36).hides) << broken;
  }
}

}  // namespace
}  // namespace clustix::procview
