// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/down.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "lib/base/unique_fd.h"

namespace clustix::cluster {
namespace {

TEST(Down, Leaves_alone_what_a_daemon_started_by_hand_serves) {
  std::string base = testing::TempDir() + "clustix_down_XXXXXX";
  ASSERT_NE(mkdtemp(base.data()), nullptr);
  const std::string path = base + "/clustixd.sock";
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  base::UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);

  const absl::StatusOr<DownResult> refused = Down(Layout(base));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_TRUE(std::filesystem::exists(path));

  listener.Reset();  // as a killed daemon leaves it
  const absl::StatusOr<DownResult> removed = Down(Layout(base));
  EXPECT_TRUE(removed.ok()) << removed.status();
  EXPECT_FALSE(std::filesystem::exists(base));
}

}  // namespace
}  // namespace clustix::cluster
