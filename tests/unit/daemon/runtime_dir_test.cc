// SPDX-License-Identifier: Apache-2.0
#include "daemon/runtime_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/transport.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RuntimeDir, Is_refused_to_a_second_daemon) {
  TempDir dir;
  auto first = RuntimeDir::Acquire(dir.File("run"));
  ASSERT_TRUE(first.ok()) << first.status();
  absl::Status second = RuntimeDir::Acquire(dir.File("run")).status();
  EXPECT_TRUE(absl::IsAlreadyExists(second)) << second;
  EXPECT_THAT(second.ToString(), HasSubstr("another clustixd"));
  first->reset();
  EXPECT_TRUE(RuntimeDir::Acquire(dir.File("run")).ok());
}

TEST(RuntimeDir, Is_cleaned_of_what_a_killed_daemon_left) {
  TempDir dir;
  std::filesystem::create_directories(dir.File("run/proc"));
  dir.Write("run/clustixd.sock", "");
  dir.Write("run/clustixd.lock", "");
  auto runtime = RuntimeDir::Acquire(dir.File("run"));
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  EXPECT_FALSE(std::filesystem::exists((*runtime)->socket_path()));
  EXPECT_TRUE((*runtime)->MakeProc().ok());
}

TEST(RuntimeDir, Leaves_nothing_behind_but_what_others_put_there) {
  TempDir dir;
  {
    auto runtime = RuntimeDir::Acquire(dir.File("a/b"));
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    ASSERT_TRUE((*runtime)->MakeProc().ok());
  }
  EXPECT_FALSE(std::filesystem::exists(dir.File("a/b")));
  {
    auto runtime = RuntimeDir::Acquire(dir.File("a/c"));
    dir.Write("a/c/other", "");
  }
  EXPECT_TRUE(std::filesystem::exists(dir.File("a/c/other")));
}

TEST(RuntimeDir, Leaves_a_mount_point_that_it_has_not_made) {
  TempDir dir;
  std::filesystem::create_directories(dir.File("run/proc"));
  {
    auto runtime = RuntimeDir::Acquire(dir.File("run"));
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    ASSERT_TRUE((*runtime)->MakeProc().ok());
  }
  EXPECT_TRUE(std::filesystem::exists(dir.File("run/proc")));
  EXPECT_FALSE(std::filesystem::exists(dir.File("run/clustixd.lock")));
}

TEST(Transport, Says_why_the_module_is_not_used) {
  TempDir root;
  std::filesystem::create_directories(root.File("proc/sys/kernel"));
  std::filesystem::create_directories(root.File("sys/kernel/security"));
  EXPECT_THAT(WhyNoModule(root.path()), HasSubstr("CONFIG_MODULES"));
  root.Write("proc/modules", "");
  EXPECT_THAT(WhyNoModule(root.path()), HasSubstr("modprobe kccm"));
  root.Write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  EXPECT_THAT(WhyNoModule(root.path()), HasSubstr("locked down"));
  root.Write("proc/sys/kernel/modules_disabled", "1\n");
  EXPECT_THAT(WhyNoModule(root.path()), HasSubstr("modules_disabled"));
  root.Write(".dockerenv", "");
  EXPECT_THAT(WhyNoModule(root.path()), HasSubstr("container (docker)"));
  std::filesystem::create_directories(root.File("dev"));
  root.Write("dev/kccm", "");
  EXPECT_EQ(WhyNoModule(root.path()), "");
}

}  // namespace
}  // namespace clustix::daemon
