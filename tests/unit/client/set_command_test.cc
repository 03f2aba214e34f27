// SPDX-License-Identifier: Apache-2.0
//
// `clustix set` as a shell uses it, against a daemon that answers as told.
#include "daemon/command/set_command.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/cluster/process.h"
#include "tests/unit/client/fake_daemon.h"

namespace clustix::client {
namespace {

using cluster::ToolResult;

class SetCommand : public testing::Test {
 protected:
  ToolResult Set(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(),
                     {CLUSTIX_BIN_DIR "/clustix", "--socket", daemon_.Socket().socket, "set"});
    absl::StatusOr<ToolResult> result = cluster::RunTool(arguments, input);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return ToolResult();
    result->status = cluster::ExitCode(result->status);
    return *std::move(result);
  }
  // Its stdout; a failure if it does not succeed.
  std::string Output(std::vector<std::string> arguments, const std::string& input = "") {
    const ToolResult result = Set(std::move(arguments), input);
    EXPECT_EQ(result.status, 0) << result.errors;
    return result.output;
  }

  FakeDaemon daemon_;
};

TEST_F(SetCommand, Writes_reads_and_removes_objects) {
  Output({"create", "shop/counters", "--replicas", "volatile", "--mode", "0644"});
  Output({"put", "shop/counters", "7", "a value"});
  EXPECT_EQ(Output({"get", "shop/counters", "7"}), "a value");
  EXPECT_EQ(Output({"get", "shop/counters", "0x7", "--hex"}), "612076616c7565\n");
  EXPECT_NE(Output({"get", "shop/counters", "7", "--json"}).find("\"hex\":\"612076616c7565\""),
            std::string::npos);
  Output({"put", "shop/counters", "8"}, std::string("from\0stdin\n", 11));
  EXPECT_EQ(Output({"get", "shop/counters", "8"}), std::string("from\0stdin\n", 11));
  Output({"put", "shop/counters", "9", "--hex", "00 ff"});
  EXPECT_EQ(Output({"get", "shop/counters", "9"}), std::string("\0\xff", 2));
  Output({"touch", "shop/counters", "9", "not this"});
  EXPECT_EQ(Output({"get", "shop/counters", "9", "--hex"}), "00ff\n");
  Output({"rm", "shop/counters", "7", "8"});
  const ToolResult gone = Set({"get", "shop/counters", "7"});
  EXPECT_EQ(gone.status, 1);
  EXPECT_EQ(gone.errors, "clustix: object 7 of shop/counters: not found\n");
}

TEST_F(SetCommand, Lists_and_describes_sets) {
  Output({"create", "shop/counters"});
  EXPECT_NE(Output({"ls"}).find("shop/counters"), std::string::npos);
  EXPECT_NE(Output({"ls", "--json"}).find("\"name\": \"shop/counters\""), std::string::npos);
  EXPECT_NE(Output({"stat", "shop/counters"}).find("shop/counters"), std::string::npos);
  Output({"destroy", "shop/counters"});
}

TEST_F(SetCommand, Tells_of_changes) {
  Output({"create", "shop/counters"});
  std::thread changes([this] {
    daemon_.AwaitAsked(SetRequestKind::kWatch, 2);
    daemon_.Change(5, "new");
  });
  EXPECT_EQ(Output({"watch", "shop/counters", "1-9", "--count", "1"}), "5 version 1\n");
  changes.join();
}

TEST_F(SetCommand, Says_what_is_wrong) {
  Output({"create", "shop/counters"});
  const ToolResult again = Set({"create", "shop/counters"});
  EXPECT_EQ(again.status, 1);
  EXPECT_EQ(again.errors, "clustix: shop/counters: it is there\n");
  const ToolResult mistyped = Set({"get", "shop/countres", "1"});
  EXPECT_EQ(mistyped.status, 1);
  EXPECT_NE(mistyped.errors.find("did you mean shop/counters"), std::string::npos)
      << mistyped.errors;
  EXPECT_EQ(Set({"get", "shop/counters", "seven"}).status, 2);
  EXPECT_EQ(Set({"get", "shop/counters"}).status, 2);
  EXPECT_EQ(Set({"watch", "shop/counters", "9-1"}).status, 2);
  EXPECT_EQ(Set({"create", "shop/x", "--mode", "999"}).status, 2);
  EXPECT_EQ(Set({"put", "shop/counters", "1", "--hex", "0"}).status, 1);
  EXPECT_EQ(Set({"put", "shop/counters", "1", ""}).status, 1);
  daemon_.Stop();
  const ToolResult gone = Set({"ls"});
  EXPECT_EQ(gone.status, 1);
  EXPECT_NE(gone.errors, "");
}

TEST(SetSyntax, Reads_objects_ranges_and_hex) {
  using command::ParseHex;
  using command::ParseObject;
  using command::ParseObjectRange;
  EXPECT_EQ(ParseObject("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(ParseObject("0xFf"), 255u);
  for (const char* wrong : {"", "0x", "-1", "1a", "18446744073709551616", "1 "}) {
    EXPECT_EQ(ParseObject(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(ParseObjectRange("3")->last, 3u);
  EXPECT_EQ(ParseObjectRange("0x1-0xf")->last, 15u);
  EXPECT_FALSE(ParseObjectRange("3-"));
  EXPECT_FALSE(ParseObjectRange("3-2"));
  EXPECT_EQ(ParseHex("61 62\n63"), "abc");
  EXPECT_EQ(ParseHex("6 1"), std::nullopt);
  EXPECT_EQ(ParseHex("6"), std::nullopt);
  EXPECT_EQ(command::ToHex(Bytes("a\n")), "610a");
}

}  // namespace
}  // namespace clustix::client
