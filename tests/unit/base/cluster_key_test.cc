// SPDX-License-Identifier: Apache-2.0
#include "lib/base/cluster_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/daemon/temp_dir.h"

namespace clustix::base {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ClusterKey, Is_taken_with_mode_0600_and_64_digits) {
  TempDir dir;
  absl::StatusOr<ClusterKey> key = LoadKey(dir.Write("key", std::string(64, 'a') + "\n"));
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ((*key)[31], 0xaa);
  EXPECT_TRUE(LoadKey(dir.Write("read-only", std::string(64, 'A'), 0400)).ok());
}

TEST(ClusterKey, Is_refused_when_others_can_use_it) {
  TempDir dir;
  for (mode_t mode : {0644, 0640, 0604, 0620, 0601}) {
    absl::Status status = LoadKey(dir.Write("key", std::string(64, 'a'), mode)).status();
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("chmod 600"));
  }
}

TEST(ClusterKey, Of_the_wrong_length_or_form_is_refused_without_being_shown) {
  TempDir dir;
  for (const std::string& text :
       {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'a') + "\n\n",
        std::string(64, 'g'), std::string(32, 'a')}) {
    absl::Status status = LoadKey(dir.Write("key", text)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("64 hexadecimal digits"));
    EXPECT_THAT(status.ToString(), Not(HasSubstr("aaaa")));
  }
  EXPECT_FALSE(LoadKey(dir.path()).ok());
}

TEST(ClusterKey, That_cannot_be_read_says_what_to_do) {
  TempDir dir;
  EXPECT_THAT(LoadKey(dir.File("none")).status().ToString(), HasSubstr("clustix init makes it"));
  if (geteuid() != 0) GTEST_SKIP() << "needs root to be another user";
  const std::string path = dir.Write("key", std::string(64, 'a'));
  ASSERT_EQ(chmod(dir.path().c_str(), 0755), 0);
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(seteuid(kNobody), 0);
  absl::Status status = LoadKey(path).status();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("run as that user"));
}

}  // namespace
}  // namespace clustix::base
