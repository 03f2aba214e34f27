// SPDX-License-Identifier: Apache-2.0
//
// Object sets in a real cluster, as people and programs use them: `clustix set` and the examples.
#include <sys/wait.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

class SetsOfACluster : public RunningClusterTest {
 protected:
  void SetUp() override {
    RunningClusterTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (int node = 1; node <= 3; ++node) {
      ASSERT_TRUE(Eventually(seconds(20), [&] { return Ask(node, {"set", "ls"}).status == 0; }));
    }
  }
  std::string Value(int node, const std::string& object) {
    const ToolResult result = Ask(node, {"set", "get", "shop/things", object});
    return result.status == 0 ? result.output : result.errors;
  }
  // An example, as a client of a node.
  std::vector<std::string> Example(int node, std::vector<std::string> argv) {
    argv[0] = std::string(CLUSTIX_BIN_DIR) + "/../docs/examples/" + argv[0];
    argv.insert(argv.begin(), {"env", "CLUSTIX_SOCKET=" + layout().Socket(node)});
    return argv;
  }
};

TEST_F(SetsOfACluster, Are_the_same_on_every_node) {
  ASSERT_SUCCESS(Ask(1, {"set", "create", "shop/things"}));
  ASSERT_SUCCESS(Ask(2, {"set", "put", "shop/things", "7", "from node 2"}));
  for (int node = 1; node <= 3; ++node) EXPECT_EQ(Value(node, "7"), "from node 2") << node;
  ASSERT_SUCCESS(Ask(3, {"set", "put", "shop/things", "7", "from node 3"}));
  for (int node = 1; node <= 3; ++node) EXPECT_EQ(Value(node, "7"), "from node 3") << node;
  ASSERT_SUCCESS(Ask(3, {"set", "touch", "shop/things", "7", "not this"}));
  EXPECT_EQ(Value(1, "7"), "from node 3");
  const nlohmann::json sets = AskJson(1, {"set", "ls"});
  ASSERT_TRUE(sets.is_array());
  ASSERT_SUCCESS(Ask(1, {"set", "rm", "shop/things", "7"}));
  for (int node = 1; node <= 3; ++node) {
    EXPECT_NE(Value(node, "7").find("not found"), std::string::npos) << node;
  }
}

TEST_F(SetsOfACluster, Show_the_processes_of_every_node) {
  ASSERT_SUCCESS(Ask(1, {"set", "create", "shop/things", "--linker", "procfs", "--placement",
                         "id-bits", "--mode", "0444"}));
  const auto object = [](uint64_t node, uint64_t pid) { return std::to_string(node << 48 | pid); };
  for (int node = 1; node <= 3; ++node) {
    EXPECT_NE(Value(node, object(2, 1)).find("\nPid:\t1\n"), std::string::npos) << node;
    EXPECT_NE(Value(node, object(2, 4'000'000)).find("not found"), std::string::npos) << node;
  }
  const ToolResult put = Ask(3, {"set", "put", "shop/things", object(2, 1), "forged"});
  EXPECT_EQ(WEXITSTATUS(put.status), 1);
  EXPECT_NE(put.errors.find("may not be written"), std::string::npos) << put.errors;
}

TEST_F(SetsOfACluster, Lose_no_count_of_writers_on_all_nodes) {
  constexpr int kTimes = 20;
  std::vector<std::unique_ptr<Background>> writers;
  for (int i = 0; i < kTimes; ++i) {
    for (int node = 1; node <= 3; ++node) {
      writers.push_back(std::make_unique<Background>(Example(node, {"counter", "7", "add", "1"})));
    }
    for (auto& writer : writers) EXPECT_EQ(writer->Wait(seconds(60)), 0);
    writers.clear();
  }
  Background last(Example(2, {"counter", "7", "add", "0"}));
  EXPECT_EQ(last.ReadLine(seconds(60)), std::to_string(3 * kTimes));
}

}  // namespace
}  // namespace clustix::netns
