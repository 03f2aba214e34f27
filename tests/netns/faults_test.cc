// SPDX-License-Identifier: Apache-2.0
//
// Real faults: a daemon that dies, stops or loses its network. The others notice, show it, and
// nothing hangs.
#include <signal.h>

#include <string>
#include <vector>

#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

class Faults : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_SUCCESS(Up());
  }

  nlohmann::json NodeRow(int asked, int node) {
    nlohmann::json nodes = AskJson(asked, {"nodes"});
    if (nodes.is_array()) {
      for (const nlohmann::json& row : nodes) {
        if (row["node"] == node) return row;
      }
    }
    return {};
  }
  bool IsStale(int asked, int node) { return NodeRow(asked, node).value("stale", false); }
  size_t ProcessesOf(int asked, int node) {
    size_t count = 0;
    for (const nlohmann::json& row : Processes(asked)) count += row["node"] == node;
    return count;
  }
};

TEST_F(Faults, A_killed_daemon_comes_back_and_the_others_take_it_in) {
  const cluster::ProcessId daemon = Daemon(2);
  nlohmann::json before = AskJson(2, {"status"});
  Signal(daemon, SIGKILL);
  ASSERT_TRUE(AwaitGone(daemon, seconds(10)));
  ASSERT_TRUE(Eventually(seconds(20),
                         [&] { return Daemon(2).pid != 0 && AskJson(2, {"status"}).is_object(); }));
  EXPECT_NE(AskJson(2, {"status"})["incarnation"], before["incarnation"]);
  EXPECT_TRUE(AwaitAllUp(3));
  EXPECT_TRUE(Eventually(seconds(10), [&] { return !IsStale(1, 2) && ProcessesOf(1, 2) > 0; }));
}

TEST_F(Faults, A_killed_daemon_leaves_the_rest_of_its_node_running) {
  const cluster::ProcessId init = NodeInit(2), daemon = Daemon(2);
  Signal(daemon, SIGKILL);
  ASSERT_TRUE(AwaitGone(daemon, seconds(10)));
  ASSERT_TRUE(AwaitAllUp(3));
  EXPECT_EQ(NodeInit(2), init);
}

TEST_F(Faults, A_stopped_daemon_is_shown_as_stale_not_as_empty_and_recovers) {
  const size_t processes = ProcessesOf(1, 2);
  ASSERT_GT(processes, 0u);
  Signal(Daemon(2), SIGSTOP);
  EXPECT_TRUE(Eventually(seconds(15), [&] { return IsStale(1, 2); }));
  EXPECT_GT(ProcessesOf(1, 2), 0u) << "its processes are still there";
  EXPECT_FALSE(IsStale(1, 3));
  EXPECT_SUCCESS(Shell(1, {"ps", "-ef"}));
  Signal(Daemon(2), SIGCONT);
  EXPECT_TRUE(Eventually(seconds(20), [&] { return !IsStale(1, 2); }));
  EXPECT_TRUE(AwaitAllUp(3));
}

TEST_F(Faults, A_question_to_a_stopped_daemon_ends_with_an_error_in_bounded_time) {
  Signal(Daemon(2), SIGSTOP);
  ToolResult answer = Ask(2, {"status"});
  EXPECT_EQ(cluster::ExitCode(answer.status), 1);
  EXPECT_NE(answer.errors, "");
  Signal(Daemon(2), SIGCONT);
}

TEST_F(Faults, A_node_whose_link_goes_down_is_suspected_and_comes_back) {
  ASSERT_SUCCESS(RunOn(2, {"ip", "link", "set", "eth0", "down"}));
  EXPECT_TRUE(AwaitPeerState(1, 2, {"suspect", "dead"}));
  EXPECT_TRUE(AwaitPeerState(2, 1, {"suspect", "dead"}));
  EXPECT_TRUE(Eventually(seconds(15), [&] { return IsStale(1, 2); }));
  EXPECT_EQ(PeerState(1, 3), "up");
  ASSERT_SUCCESS(RunOn(2, {"ip", "link", "set", "eth0", "up"}));
  EXPECT_TRUE(AwaitAllUp(3));
  EXPECT_TRUE(Eventually(seconds(15), [&] { return !IsStale(1, 2); }));
}

TEST_F(Faults, A_lossy_network_slows_the_view_but_does_not_break_it) {
  for (int node : {1, 2, 3}) {
    Filter(node,
           "table ip fault {\n"
           "  chain in { type filter hook input priority 0;\n"
           "    iif eth0 numgen random mod 10 < 2 drop\n"
           "  }\n"
           "}\n");
  }
  for (int round = 0; round < 20; ++round) {
    ToolResult ps = Ask(1, {"ps"});
    ASSERT_SUCCESS(ps);
  }
  for (int node : {1, 2, 3}) Filter(node, "delete table ip fault\n");
  EXPECT_TRUE(AwaitAllUp(3));
  EXPECT_TRUE(Eventually(seconds(10), [&] { return !IsStale(1, 2) && !IsStale(1, 3); }));
}

TEST_F(Faults, A_node_that_dies_is_shown_as_gone_and_up_brings_it_back) {
  const cluster::ProcessId init = NodeInit(3);
  Signal(init, SIGKILL);
  ASSERT_TRUE(AwaitGone(init, seconds(10)));
  EXPECT_TRUE(AwaitPeerState(1, 3, {"suspect", "dead"}));
  EXPECT_TRUE(Eventually(seconds(15), [&] { return IsStale(1, 3); }));
  ASSERT_SUCCESS(Up());
  EXPECT_TRUE(Eventually(seconds(15), [&] { return !IsStale(1, 3); }));
}

}  // namespace
}  // namespace clustix::netns
