// SPDX-License-Identifier: Apache-2.0
//
// Signals across nodes: by Clustix's own commands and by unmodified tools in `clustix shell`, for
// those who may send them, and while the node of the process is away.
#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

class Signals : public RunningClusterTest {
 protected:
  // A process of user nobody on a node, known by `tag`, that says what it receives.
  std::vector<std::string> Listener(int node, const std::string& tag) {
    std::vector<std::string> argv = ShellArguments(
        node, {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c",
               "trap 'echo got HUP' HUP; echo started; while :; do sleep 4242 & wait; done", tag});
    argv.insert(argv.begin(), ClustixProgram());
    return argv;
  }
  // Awaits that `node` has heard of the listener.
  std::string GlobalPid(const std::string& tag, int node = 1) {
    std::string gpid;
    Eventually(seconds(5), [&] {
      const ToolResult found = Ask(node, {"pgrep", "-o", "-f", tag + "$"});
      gpid = found.output.substr(0, found.output.find('\n'));
      return found.status == 0;
    });
    return gpid;
  }
  // A command of `clustix` that asks node 1, as user nobody's neighbour.
  ToolResult AskAsStranger(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {"setpriv",         "--reuid=65533",  "--regid=65533",
                                     "--clear-groups",  ClustixProgram(), "--socket",
                                     layout().Socket(1)};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return *cluster::RunTool(argv, "");
  }
};

TEST_F(Signals, Reach_processes_of_other_nodes_and_are_denied_to_strangers) {
  Background listener(Listener(2, "first-listener"));
  ASSERT_EQ(listener.ReadLine(seconds(10)), "started");
  const std::string gpid = GlobalPid("first-listener");
  ASSERT_FALSE(gpid.empty());

  const ToolResult denied = AskAsStranger({"kill", gpid});
  EXPECT_EQ(cluster::ExitCode(denied.status), 3);
  EXPECT_NE(denied.errors.find("denied"), std::string::npos) << denied.errors;
  EXPECT_SUCCESS(Ask(1, {"kill", "-0", gpid}));
  EXPECT_SUCCESS(Ask(1, {"kill", "-HUP", gpid}));
  EXPECT_EQ(listener.ReadLine(seconds(10)), "got HUP");
  EXPECT_EQ(GlobalPid("first-listener", 3), gpid);
  EXPECT_SUCCESS(Ask(3, {"pkill", "-s", "HUP", "-u", "nobody", "-f", "first-listener$"}));
  EXPECT_EQ(listener.ReadLine(seconds(10)), "got HUP");

  // The same by tools that know nothing of clusters.
  for (const std::vector<std::string>& tool : {std::vector<std::string>{"/bin/kill", "-HUP", gpid},
                                               {"bash", "-c", "kill -HUP " + gpid},
                                               {"pkill", "-HUP", "-f", "-o", "first-listener$"}}) {
    EXPECT_SUCCESS(Shell(1, tool));
    EXPECT_EQ(listener.ReadLine(seconds(10)), "got HUP") << tool[0];
  }
  const ToolResult stranger = Shell(1, {"setpriv", "--reuid=65533", "--regid=65533",
                                        "--clear-groups", "/bin/kill", "-HUP", gpid});
  EXPECT_NE(stranger.status, 0);
  EXPECT_NE(stranger.errors.find("Operation not permitted"), std::string::npos) << stranger.errors;
  const ToolResult nobody = Shell(1, {"/bin/kill", "-HUP", absl::StrCat(2 * (1 << 22) + 4000000)});
  EXPECT_NE(nobody.errors.find("No such process"), std::string::npos) << nobody.errors;
  // The node's own pids stay what they are.
  EXPECT_SUCCESS(Shell(1, {"bash", "-c", "sleep 4243 & kill $! && wait $! || [ $? = 143 ]"}));

  EXPECT_SUCCESS(Ask(1, {"kill", "-s", "KILL", gpid}));
  EXPECT_TRUE(listener.Wait(seconds(10)).has_value());
  const ToolResult gone = Ask(1, {"kill", gpid});
  EXPECT_EQ(cluster::ExitCode(gone.status), 1);
  EXPECT_NE(gone.errors.find("no such process"), std::string::npos) << gone.errors;
  Ask(1, {"pkill", "-f", "^sleep 4242$"});
}

TEST_F(Signals, To_a_node_that_does_not_answer_have_an_outcome_that_says_so) {
  Background listener(Listener(2, "second-listener"));
  ASSERT_EQ(listener.ReadLine(seconds(10)), "started");
  const std::string gpid = GlobalPid("second-listener");
  ASSERT_FALSE(gpid.empty());
  const cluster::ProcessId daemon = Daemon(2);
  Signal(daemon, SIGSTOP);
  // The first asker cannot know: the messenger has the signal, and nobody has answered.
  const ToolResult unknown = Ask(1, {"kill", "-HUP", gpid});
  EXPECT_EQ(cluster::ExitCode(unknown.status), 5) << unknown.errors;
  EXPECT_NE(unknown.errors.find("outcome unknown"), std::string::npos) << unknown.errors;
  // The next is not sent.
  ASSERT_TRUE(AwaitPeerState(1, 2, {"suspect", "dead"}));
  const ToolResult unreachable = Ask(1, {"kill", "-HUP", gpid});
  EXPECT_EQ(cluster::ExitCode(unreachable.status), 4) << unreachable.errors;
  EXPECT_NE(unreachable.errors.find("not delivered"), std::string::npos) << unreachable.errors;
  const ToolResult tool = Shell(1, {"/bin/kill", "-HUP", gpid});
  EXPECT_NE(tool.errors.find("Host is down"), std::string::npos) << tool.errors;
  Signal(daemon, SIGCONT);
  ASSERT_TRUE(AwaitAllUp(3));
  Ask(1, {"pkill", "-KILL", "-f", "second-listener$"});
  EXPECT_TRUE(listener.Wait(seconds(10)).has_value());
  Ask(1, {"pkill", "-f", "^sleep 4242$"});
}

TEST_F(Signals, Are_explained_where_they_are_used_wrongly) {
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"kill"},
                                                {"kill", "12"},
                                                {"kill", "-9", "abc"},
                                                {"kill", "-s", "BOGUS", "8388609"},
                                                {"kill", "-BOGUS", "8388609"},
                                                {"pkill"},
                                                {"pgrep", "a("},
                                                {"pgrep", "-u", "no-such-user"},
                                                {"pgrep", "--node", "9", "sh"},
                                                {"pgrep", "-n", "-o", "sh"},
                                                {"pkill", "-s", "BOGUS", "sh"}}) {
    const ToolResult result = Ask(1, wrong);
    EXPECT_EQ(cluster::ExitCode(result.status), 2) << wrong.back() << result.errors;
    EXPECT_EQ(result.errors.find("clustix: "), 0u) << result.errors;
  }
  EXPECT_EQ(Ask(1, {"kill", "-l", "9", "TERM"}).output, "KILL\n15\n");
  EXPECT_EQ(cluster::ExitCode(Ask(1, {"pgrep", "-x", "no-such-name"}).status), 1);
  EXPECT_GE(std::atoi(Ask(1, {"pgrep", "-c", "-x", "clustixd"}).output.c_str()), 3);
  EXPECT_EQ(Ask(1, {"pgrep", "-l", "-x", "--node", "2", "clustixd"}).output.substr(0, 4), "8388");
}

}  // namespace
}  // namespace clustix::netns
