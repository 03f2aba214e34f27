// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/layout.h"

#include <gtest/gtest.h>

#include <string>

namespace clustix::cluster {
namespace {

TEST(Layout, Takes_the_default_directory) {
  EXPECT_TRUE(Layout(DefaultBaseDir()).Check().ok());
  EXPECT_TRUE(Layout("/run/clustix").Check().ok());
}

TEST(Layout, Refuses_directories_that_must_not_be_removed) {
  for (const char* base : {"", "/", "/run", "/home", "relative/path", "/run/", "/run/clustix/",
                           "/run//clustix", "/run/clustix/..", "/run/../etc/x", "/run/./x"}) {
    EXPECT_EQ(Layout(base).Check().code(), absl::StatusCode::kInvalidArgument) << base;
  }
}

TEST(Layout, Refuses_a_directory_whose_sockets_would_have_too_long_a_path) {
  const std::string start = "/run/";
  size_t longest = 107 - std::string("/node32/clustixd.sock").size() - start.size();
  EXPECT_TRUE(Layout(start + std::string(longest, 'x')).Check().ok());
  EXPECT_FALSE(Layout(start + std::string(longest + 1, 'x')).Check().ok());
}

TEST(Layout, Gives_every_node_an_address_of_its_own) {
  EXPECT_EQ(NodeIp(Mode::kNamespaces, 1), "10.201.0.1");
  EXPECT_EQ(NodeIp(Mode::kNamespaces, kMaxNodes), "10.201.0.32");
  // 127.0.0.1 is left to everybody else.
  EXPECT_EQ(NodeIp(Mode::kLoopback, 1), "127.0.0.2");
  EXPECT_EQ(NodeIp(Mode::kLoopback, 3), "127.0.0.4");
}

}  // namespace
}  // namespace clustix::cluster
