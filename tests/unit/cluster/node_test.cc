// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/node.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace clustix::cluster {
namespace {

TEST(NodeInitArguments, Are_understood_as_they_were_written) {
  for (Mode mode : {Mode::kNamespaces, Mode::kLoopback}) {
    auto parsed = ParseNodeInitArguments(
        NodeInitArguments({.node = 7, .mode = mode, .base = "/run/clustix x"}));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->node, 7);
    EXPECT_EQ(parsed->mode, mode);
    EXPECT_EQ(parsed->base, "/run/clustix x");
  }
}

TEST(NodeInitArguments, Are_not_seen_in_other_command_lines) {
  const std::vector<std::string> good =
      NodeInitArguments({.node = 1, .mode = Mode::kNamespaces, .base = "/run/clustix"});
  for (size_t i = 0; i < good.size(); ++i) {
    if (i == 3) continue;  // the base directory may be any text
    std::vector<std::string> bad = good;
    bad[i] += "x";
    EXPECT_FALSE(ParseNodeInitArguments(bad).has_value()) << bad[i];
  }
  std::vector<std::string> longer = good;
  longer.push_back("x");
  EXPECT_FALSE(ParseNodeInitArguments(longer).has_value());
  EXPECT_FALSE(ParseNodeInitArguments({"grep", "node-init"}).has_value());
  EXPECT_FALSE(ParseNodeInitArguments({}).has_value());
}

}  // namespace
}  // namespace clustix::cluster
