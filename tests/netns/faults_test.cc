// SPDX-License-Identifier: Apache-2.0
//
// Real faults: a daemon that dies, stops or loses its network. The others notice, show it, and
// nothing hangs.
#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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

TEST_F(Faults, A_question_to_a_stopped_daemon_ends_with_advice_in_bounded_time) {
  const cluster::ProcessId daemon = Daemon(2);
  Signal(daemon, SIGSTOP);
  for (const char* command : {"status", "nodes", "ps"}) {
    ToolResult answer = Ask(2, {command});
    EXPECT_EQ(cluster::ExitCode(answer.status), 1) << command;
    EXPECT_NE(answer.errors.find(absl::StrCat("kill -CONT ", daemon.pid)), std::string::npos)
        << command << ": " << answer.errors;
  }
  Signal(daemon, SIGCONT);
}

TEST_F(Faults, A_shell_on_a_node_whose_daemon_is_stopped_fails_with_advice_instead_of_hanging) {
  const cluster::ProcessId daemon = Daemon(2);
  Signal(daemon, SIGSTOP);
  std::vector<std::string> argv = ShellArguments(2, {"ps", "-ef"});
  argv.insert(argv.begin(), {"timeout", "--kill-after=1", "20", ClustixProgram()});
  absl::StatusOr<ToolResult> shell = cluster::RunTool(argv, "");
  Signal(daemon, SIGCONT);
  ASSERT_TRUE(shell.ok()) << shell.status();
  EXPECT_EQ(cluster::ExitCode(shell->status), 1);
  EXPECT_NE(shell->errors.find(absl::StrCat("kill -CONT ", daemon.pid)), std::string::npos)
      << shell->errors;
  EXPECT_SUCCESS(Shell(2, {"ps", "-ef"}));
}

TEST_F(Faults, A_tool_that_waits_for_a_stopped_daemon_can_be_interrupted) {
  std::vector<std::string> argv =
      ShellArguments(2, {"sh", "-c", "echo ready; read go; exec cat /proc/uptime"});
  argv.insert(argv.begin(), ClustixProgram());
  Background tool(argv);
  ASSERT_EQ(tool.ReadLine(seconds(10)), "ready");
  const cluster::ProcessId daemon = Daemon(2);
  Signal(daemon, SIGSTOP);
  tool.CloseStdin();
  cluster::ProcessId waiting;
  ASSERT_TRUE(Eventually(seconds(10), [&] {
    for (pid_t pid : cluster::ListPids()) {
      if (cluster::CommandLine(pid) != std::vector<std::string>{"cat", "/proc/uptime"}) continue;
      waiting = cluster::IdentifyProcess(pid).value_or(cluster::ProcessId{});
    }
    return waiting.pid != 0;
  }));
  Signal(waiting, SIGINT);
  EXPECT_TRUE(AwaitGone(waiting, seconds(10)));
  Signal(daemon, SIGCONT);
}

TEST_F(Faults, A_node_that_stops_before_anybody_asked_for_its_processes_still_shows_them) {
  Signal(Daemon(2), SIGSTOP);
  for (int asked : {1, 3}) {
    EXPECT_TRUE(Eventually(seconds(15), [&] { return IsStale(asked, 2); }));
    EXPECT_GT(ProcessesOf(asked, 2), 0u) << "seen from node " << asked;
  }
  Signal(Daemon(2), SIGCONT);
}

TEST_F(Faults, A_node_that_was_never_heard_is_shown_as_such) {
  const cluster::ProcessId stopped = Daemon(2), newcomer = Daemon(3);
  Signal(stopped, SIGSTOP);
  Signal(newcomer, SIGKILL);
  ASSERT_TRUE(AwaitGone(newcomer, seconds(10)));
  ASSERT_TRUE(Eventually(seconds(20), [&] { return NodeRow(3, 2).is_object(); }));
  const nlohmann::json row = NodeRow(3, 2);
  EXPECT_EQ(row["known"], false) << row;
  EXPECT_EQ(row["stale"], true) << row;
  EXPECT_NE(Ask(3, {"nodes"}).output.find("never heard"), std::string::npos);
  ToolResult ps = Ask(3, {"ps"});
  EXPECT_SUCCESS(ps);
  EXPECT_NE(ps.errors.find("node 2 (node2, "), std::string::npos) << ps.errors;
  const std::string status = layout().ProcMount(3) + "/nodes/2/status";
  ToolResult view = *cluster::RunTool({"cat", status}, "");
  EXPECT_NE(view.output.find("stale:\tyes\n"), std::string::npos) << view.output << view.errors;
  EXPECT_NE(view.output.find("known:\tno\n"), std::string::npos) << view.output << view.errors;
  Signal(stopped, SIGCONT);
}

TEST_F(Faults, A_view_that_is_unmounted_is_reported_as_such) {
  ASSERT_EQ(AskJson(2, {"status"})["proc_mount"], layout().ProcMount(2));
  ASSERT_SUCCESS(*cluster::RunTool({"umount", layout().ProcMount(2)}, ""));
  const nlohmann::json status = AskJson(2, {"status"});
  EXPECT_TRUE(status["proc_mount"].is_null()) << status;
  EXPECT_NE(status.value("proc_note", "").find("unmounted"), std::string::npos) << status;
  EXPECT_NE(Ask(2, {"status"}).output.find("not mounted: "), std::string::npos);
  ToolResult shell = Shell(2, {"true"});
  EXPECT_EQ(cluster::ExitCode(shell.status), 1);
  EXPECT_NE(shell.errors.find("unmounted"), std::string::npos) << shell.errors;
  EXPECT_SUCCESS(Ask(2, {"ps"}));
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
