// SPDX-License-Identifier: Apache-2.0
//
// What somebody sees who tries Clustix for the first time: a process of one node in the lists of
// another, and the usual tools showing the cluster.
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

constexpr int kPidsPerNode = 1 << 22;

class Tour : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_SUCCESS(Up());
  }

  // `sleep 4242` by user nobody on a node, in `clustix shell`.
  std::vector<std::string> Sleeper(int node) {
    std::vector<std::string> argv =
        ShellArguments(node, {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh",
                              "-c", "echo started; exec sleep 4242"});
    argv.insert(argv.begin(), std::string(CLUSTIX_BIN_DIR) + "/clustix");
    return argv;
  }
};

TEST_F(Tour, A_process_of_node_2_shows_on_node_1_and_goes_when_it_ends) {
  Background sleeper(Sleeper(2));
  const time_t started = time(nullptr);
  ASSERT_EQ(sleeper.ReadLine(seconds(10)), "started");
  ASSERT_TRUE(Eventually(seconds(2), [&] { return Processes(1, "sleep 4242").size() == 1; }));
  const nlohmann::json row = Processes(1, "sleep 4242")[0];
  EXPECT_EQ(row["node"], 2) << row;
  EXPECT_EQ(row["user"], "nobody") << row;
  const int local = row["pid"], global = row["gpid"];
  EXPECT_EQ(global, 2 * kPidsPerNode + local);

  // The same by an unmodified ps on node 1.
  ToolResult ps = Shell(1, {"ps", "-o", "user=,lstart=,args=", "-p", absl::StrCat(global)});
  ASSERT_SUCCESS(ps);
  std::vector<std::string> words =
      absl::StrSplit(ps.output, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  ASSERT_EQ(words.size(), 8u) << ps.output;
  EXPECT_EQ(words[0], "nobody");
  EXPECT_EQ(words[6] + " " + words[7], "sleep 4242");
  tm when = {};
  ASSERT_NE(strptime(absl::StrCat(words[2], " ", words[3], " ", words[4], " ", words[5]).c_str(),
                     "%b %d %H:%M:%S %Y", &when),
            nullptr);
  when.tm_isdst = -1;
  EXPECT_LE(std::labs(mktime(&when) - started), 3) << ps.output;

  EXPECT_EQ(Shell(1, {"pgrep", "-f", "^sleep 4242$"}).output, absl::StrCat(global, "\n"));

  EXPECT_SUCCESS(Shell(2, {"sh", "-c", absl::StrCat("kill ", local)}));
  EXPECT_TRUE(sleeper.Wait(seconds(10)).has_value());
  EXPECT_TRUE(Eventually(seconds(2), [&] { return Processes(1, "sleep 4242").empty(); }));
  EXPECT_TRUE(Eventually(seconds(2), [&] {
    return Shell(1, {"pgrep", "-f", "^sleep 4242$"}).output.empty();
  }));
}

TEST_F(Tour, Unmodified_tools_show_all_nodes) {
  ToolResult ps = Shell(1, {"ps", "-ef"});
  ASSERT_SUCCESS(ps);
  for (int node = 1; node <= 3; ++node) {
    EXPECT_NE(ps.output.find(absl::StrCat(" ", node * kPidsPerNode + 1, " ")), std::string::npos)
        << "no pid 1 of node " << node << " in\n"
        << ps.output;
    EXPECT_NE(ps.output.find(absl::StrCat("--runtime-dir ", layout().NodeDir(node))),
              std::string::npos)
        << ps.output;
  }
  EXPECT_GE(std::atoi(Shell(1, {"sh", "-c", "pgrep -c clustixd"}).output.c_str()), 3);
  ToolResult top = Shell(2, {"env", "TERM=dumb", "COLUMNS=200", "top", "-b", "-n", "1"});
  EXPECT_SUCCESS(top);
  EXPECT_NE(top.output.find("clustixd"), std::string::npos) << top.output;
  ToolResult tree = Shell(1, {"pstree", "-p"});
  EXPECT_SUCCESS(tree);
  EXPECT_NE(tree.output.find("clustixd"), std::string::npos) << tree.output;
  for (const std::vector<std::string>& tool :
       {std::vector<std::string>{"free"}, {"uptime"}, {"vmstat"}}) {
    EXPECT_SUCCESS(Shell(3, tool));
  }
}

TEST_F(Tour, Memory_of_the_cluster_is_the_sum_of_its_nodes) {
  auto total = [](const ToolResult& meminfo) {
    size_t at = meminfo.output.find("MemTotal:");
    return at == std::string::npos ? 0 : std::atoll(meminfo.output.c_str() + at + 9);
  };
  const long long node = total(RunOn(1, {"cat", "/proc/meminfo"}));
  ASSERT_GT(node, 0);
  EXPECT_EQ(total(Shell(1, {"cat", "/proc/meminfo"})), 3 * node);
}

TEST_F(Tour, The_view_is_where_status_says_and_can_be_used_from_the_host) {
  nlohmann::json status = AskJson(2, {"status"});
  ASSERT_TRUE(status.is_object());
  const std::string mount = status["proc_mount"];
  EXPECT_EQ(mount, layout().ProcMount(2));
  ToolResult stat =
      *cluster::RunTool({"cat", absl::StrCat(mount, "/", 3 * kPidsPerNode + 1, "/stat")}, "");
  EXPECT_SUCCESS(stat);
  EXPECT_EQ(stat.output.find(absl::StrCat(3 * kPidsPerNode + 1, " (clustix)")), 0u) << stat.output;
}

TEST_F(Tour, Shell_passes_the_exit_status_and_output_through) {
  ToolResult result = Shell(3, {"sh", "-c", "hostname; echo wrong >&2; exit 7"});
  EXPECT_EQ(cluster::ExitCode(result.status), 7);
  EXPECT_EQ(result.output, "node3\n");
  EXPECT_EQ(result.errors, "wrong\n");
  EXPECT_EQ(cluster::ExitCode(Shell(1, {"sh", "-c", "kill -TERM $$"}).status), 128 + SIGTERM);
  EXPECT_EQ(cluster::ExitCode(Shell(1, {"/no/such/program"}).status), 127);
}

TEST_F(Tour, Shell_on_a_node_that_does_not_run_says_so) {
  ToolResult result = Shell(9, {"true"});
  EXPECT_EQ(cluster::ExitCode(result.status), 1);
  EXPECT_NE(result.errors.find("node 9 does not run here: 1, 2, 3 do"), std::string::npos)
      << result.errors;
}

TEST_F(Tour, Shell_takes_the_name_of_a_node) {
  std::vector<std::string> argv = ShellArguments(1, {"hostname"});
  *std::find(argv.begin(), argv.end(), "1") = "node2";
  ToolResult result = Clustix(argv);
  EXPECT_EQ(result.output, "node2\n") << result.errors;
  *std::find(argv.begin(), argv.end(), "node2") = "beta";
  result = Clustix(argv);
  EXPECT_EQ(cluster::ExitCode(result.status), 1);
  EXPECT_NE(result.errors.find("no node can be called beta"), std::string::npos) << result.errors;
}

// As often as it takes for every moment between two collections.
TEST_F(Tour, Shell_sees_at_once_what_begins_and_ends_on_its_own_node) {
  const ToolResult result = Shell(2, {"bash", "-c", R"sh(
for round in $(seq 20); do
  ps -ef >/dev/null
  sleep 4321 & child=$!
  until [ "$(cat /proc/$child/comm)" = sleep ];
    do :; done
  pgrep -f '^sleep 4321' >/dev/null || echo round $round: born and not listed
  pkill -KILL -f '^sleep 4321' || echo round $round: not signalled
  wait $child 2>/dev/null
  [ -e /proc/$child ] && echo round $round: ended and still there
  pgrep -f '^sleep 4321' && echo round $round: ended and still listed
done
true)sh"});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(result.output, "");
}

TEST_F(Tour, Shell_of_another_user_says_whose_cluster_it_is) {
  auto run = [](std::vector<std::string> arguments) {
    std::vector<std::string> argv = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                     std::string(CLUSTIX_BIN_DIR) + "/clustix"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return *cluster::RunTool(argv, "");
  };
  if (run({"version"}).status != 0) GTEST_SKIP() << "nobody may not run " << CLUSTIX_BIN_DIR;
  ToolResult result = run({"--socket", layout().Socket(1), "shell", "--", "true"});
  EXPECT_EQ(cluster::ExitCode(result.status), 1);
  EXPECT_NE(result.errors.find("sudo clustix shell"), std::string::npos) << result.errors;
}

TEST_F(Tour, Shell_within_a_shell_is_for_root_alone) {
  const std::string clustix = std::string(CLUSTIX_BIN_DIR) + "/clustix";
  EXPECT_EQ(Shell(2, {clustix, "shell", "--", "cat", "/proc/1/comm"}).output, "clustix\n");
  std::vector<std::string> argv = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                   clustix};
  if (Shell(2, argv).status == 126 << 8) GTEST_SKIP() << "nobody may not run " << clustix;
  argv.insert(argv.end(), {"shell", "--", "true"});
  const ToolResult nested = Shell(2, argv);
  EXPECT_EQ(cluster::ExitCode(nested.status), 1);
  EXPECT_NE(nested.errors.find("leave this one first"), std::string::npos) << nested.errors;
}

TEST_F(Tour, The_nodes_own_proc_stays_within_reach_of_its_shell) {
  EXPECT_EQ(Shell(2, {"cat", layout().LocalProc() + "/1/comm"}).output, "clustix\n");
}

TEST_F(Tour, Open_files_lead_to_the_nodes_own_proc) {
  EXPECT_EQ(Shell(2, {"sh", "-c", "echo through stdin | cat /dev/stdin"}).output,
            "through stdin\n");
  ToolResult substituted = Shell(2, {"bash", "-c", "cat <(echo through bash)"});
  EXPECT_EQ(substituted.output, "through bash\n") << substituted.errors;
  // Of another node's process they are named, and open nowhere else.
  const std::string other = absl::StrCat("/proc/", 3 * kPidsPerNode + 1, "/fd/0");
  EXPECT_EQ(Shell(2, {"readlink", other}).output, "/dev/null\n");
}

TEST_F(Tour, Shell_sees_the_cluster_again_after_a_restart_of_the_daemon) {
  std::vector<std::string> argv =
      ShellArguments(1, {"sh", "-c", "while read line; do ls /proc | grep -c '^[0-9]'; done"});
  argv.insert(argv.begin(), std::string(CLUSTIX_BIN_DIR) + "/clustix");
  // Its questions come over a pipe of the test's own making.
  const std::string fifo = layout().base() + "/questions";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Background shell({"sh", "-c", "exec \"$@\" < " + fifo, "sh", argv[0], argv[1], argv[2], argv[3],
                    argv[4], argv[5], argv[6], argv[7], argv[8], argv[9]});
  FILE* questions = fopen(fifo.c_str(), "w");
  ASSERT_NE(questions, nullptr);
  auto ask = [&]() -> int {
    fputs("?\n", questions);
    fflush(questions);
    std::optional<std::string> answer = shell.ReadLine(seconds(10));
    return answer ? std::atoi(answer->c_str()) : -1;
  };
  EXPECT_GT(ask(), 6);
  for (int signal : {SIGKILL, SIGTERM}) {
    const cluster::ProcessId daemon = Daemon(1);
    Signal(daemon, signal);
    ASSERT_TRUE(AwaitGone(daemon, seconds(10)));
    EXPECT_TRUE(Eventually(seconds(20), [&] { return ask() > 6; })) << "after signal " << signal;
  }
  fclose(questions);
}

}  // namespace
}  // namespace clustix::netns
