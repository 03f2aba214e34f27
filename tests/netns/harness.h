// SPDX-License-Identifier: Apache-2.0
//
// A real cluster for a test: made by `clustix up` in a base directory of its own, so that it does
// not disturb another, and ended with it. The test reads like a story: stop node 2, look at it from
// node 1, let it go on, expect.
#ifndef CLUSTIX_TESTS_NETNS_HARNESS_H_
#define CLUSTIX_TESTS_NETNS_HARNESS_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/cluster/layout.h"
#include "daemon/cluster/process.h"

namespace clustix::netns {

using cluster::ToolResult;

// A program that runs beside the test; killed and reaped at the latest with this object.
class Background {
 public:
  // `prepare` runs in the child, as in RunTool().
  Background(const std::vector<std::string>& argv, const std::function<int()>& prepare = nullptr);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  pid_t pid() const { return pid_; }
  // One line of its stdout, without the newline; nothing at the deadline or the end.
  std::optional<std::string> ReadLine(std::chrono::milliseconds patience);
  void CloseStdin() { stdin_.Reset(); }
  // Its wait status; nothing at the deadline.
  std::optional<int> Wait(std::chrono::milliseconds patience);
  void Kill(int signal);

 private:
  pid_t pid_ = -1;
  base::UniqueFd stdin_, stdout_;
  std::string buffer_;
};

// Asks `holds` again and again until it says yes; false at the deadline.
bool Eventually(std::chrono::milliseconds patience, const std::function<bool()>& holds);

// What a run left on the machine; empty if nothing. Looked for: processes that name the directory,
// processes and mounts in it, the directory itself.
std::string Leftovers(const std::string& base);

class ClusterTest : public testing::Test {
 protected:
  // Skips the test, with the reason, where namespaces cannot be made.
  void SetUp() override;
  // Ends the cluster and fails the test if anything is left.
  void TearDown() override;

  // Runs build/bin/clustix. `arguments` come after the base directory or socket, as `command`
  // needs.
  ToolResult Clustix(const std::vector<std::string>& arguments);
  ToolResult Up(std::vector<std::string> arguments = {});
  ToolResult Down();
  // A command that asks the daemon of a node, from the host.
  ToolResult Ask(int node, std::vector<std::string> arguments);
  // The same with --json, parsed; discarded JSON if it failed.
  nlohmann::json AskJson(int node, std::vector<std::string> arguments);
  static std::string ClustixProgram();
  // A program in `clustix shell` on a node.
  ToolResult Shell(int node, const std::vector<std::string>& argv);
  std::vector<std::string> ShellArguments(int node, const std::vector<std::string>& argv);

  // A program in the node's network, mount, UTS and IPC namespaces, with its own /proc.
  ToolResult RunOn(int node, const std::vector<std::string>& argv, const std::string& input = "");
  std::function<int()> EnterNode(int node);
  // The same, but only its network: for what looks into its own /proc.
  std::function<int()> EnterNetworkOf(int node);
  // nft, with its commands on stdin.
  void Filter(int node, const std::string& rules);

  cluster::ProcessId NodeInit(int node);
  // The daemon of a node, as the host sees it; pid 0 if it does not run.
  cluster::ProcessId Daemon(int node);
  void Signal(const cluster::ProcessId& process, int signal);
  bool AwaitGone(const cluster::ProcessId& process, std::chrono::milliseconds patience);

  // The state of `peer` as `node` sees it: "up", "suspect", ...
  std::string PeerState(int node, int peer);
  bool AwaitPeerState(int node, int peer, const std::vector<std::string>& states,
                      std::chrono::milliseconds patience = std::chrono::seconds(20));
  bool AwaitAllUp(int nodes, std::chrono::milliseconds patience = std::chrono::seconds(30));
  // A counter of `clustix status --json`, in its group: "refused", "counters".
  uint64_t Counter(int node, const std::string& group, const std::string& name);
  // The rows of `clustix ps --json`, all or those of a command line.
  std::vector<nlohmann::json> Processes(int node, const std::string& command_line = "");

  const cluster::Layout& layout() const { return layout_; }

 private:
  std::function<int()> Enter(int node, int namespaces);

  cluster::Layout layout_{"/run/clustix-test-" + std::to_string(getpid())};
};

// Its three nodes run and see each other.
class RunningClusterTest : public ClusterTest {
 protected:
  void SetUp() override;
};

#define EXPECT_SUCCESS(result)                                                          \
  do {                                                                                  \
    const auto expect_result = (result);                                                \
    EXPECT_EQ(expect_result.status, 0) << expect_result.output << expect_result.errors; \
  } while (false)
#define ASSERT_SUCCESS(result)                                                          \
  do {                                                                                  \
    const auto assert_result = (result);                                                \
    ASSERT_EQ(assert_result.status, 0) << assert_result.output << assert_result.errors; \
  } while (false)

}  // namespace clustix::netns

#endif  // CLUSTIX_TESTS_NETNS_HARNESS_H_
