// SPDX-License-Identifier: Apache-2.0
#include "lib/base/descriptor_limit.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace clustix::base {
namespace {

TEST(DescriptorLimit, Is_raised_for_this_process_and_not_for_what_it_starts) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low = {.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  RaiseDescriptorLimit();
  rlimit now{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
  EXPECT_EQ(now.rlim_cur, before.rlim_max);

  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  ASSERT_GT(child, 0);
  RestoreDescriptorLimit(child);
  rlimit its{};
  EXPECT_EQ(prlimit(child, RLIMIT_NOFILE, nullptr, &its), 0);
  EXPECT_EQ(its.rlim_cur, 100u);
  EXPECT_EQ(its.rlim_max, before.rlim_max);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace clustix::base
