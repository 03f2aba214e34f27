// SPDX-License-Identifier: Apache-2.0
//
// A daemon started by hand, as on a real machine: clustix init, clustixd, clustix shell. No `up`
// knows of it.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/mounts.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

class ByHand : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(cluster::MakeDirectory(dir_, 0700).ok());
    ASSERT_SUCCESS(Clustix({"init", "--dir", dir_, "--name", "lab", "--node",
                            absl::StrCat("7=alone@127.0.0.1:", 20'000 + getpid() % 10'000)}));
  }
  void TearDown() override {
    if (!IsSkipped()) {
      EXPECT_TRUE(cluster::MountPoints(dir_).empty());
      EXPECT_TRUE(cluster::RemoveTree(dir_).ok());
    }
    ClusterTest::TearDown();
  }

  std::vector<std::string> DaemonCommand() {
    return {std::string(CLUSTIX_BIN_DIR) + "/clustixd", "--config", dir_ + "/cluster.toml",
            "--runtime-dir", run_};
  }
  ToolResult ShellHere(const std::vector<std::string>& argv) {
    std::vector<std::string> arguments = {"--socket", run_ + "/clustixd.sock", "shell"};
    arguments.insert(arguments.end(), argv.begin(), argv.end());
    return Clustix(arguments);
  }
  bool AwaitDaemon() {
    return Eventually(seconds(10), [this] {
      return Clustix({"--socket", run_ + "/clustixd.sock", "status"}).status == 0;
    });
  }

  const std::string dir_ = absl::StrCat("/tmp/clustix-by-hand-", getpid());
  const std::string run_ = dir_ + "/run";
};

TEST_F(ByHand, A_shell_beside_the_daemon_shows_the_cluster_and_keeps_the_own_proc_within_reach) {
  Background daemon(DaemonCommand());
  ASSERT_TRUE(AwaitDaemon());

  // The shell's own processes have the pids of node 7, and what only the kernel can open works.
  ToolResult shell = ShellHere(
      {"--", "bash", "-c", "echo $(($(readlink /proc/self | wc -c) > 7)); cat <(echo through fd)"});
  ASSERT_SUCCESS(shell);
  EXPECT_EQ(shell.output, "1\nthrough fd\n");
  ToolResult pgrep = ShellHere({"--", "pgrep", "-f", "clustixd.*" + dir_});
  ASSERT_SUCCESS(pgrep);
  EXPECT_TRUE(absl::StrContains(pgrep.output, absl::StrCat((7 << 22) + daemon.pid(), "\n")))
      << pgrep.output;
  EXPECT_EQ(cluster::ExitCode(ShellHere({"--", "sh", "-c", "exit 7"}).status), 7);
  EXPECT_EQ(ShellHere({"--node", "7", "--", "true"}).status, 0);

  ToolResult elsewhere = ShellHere({"--node", "8", "--", "true"});
  EXPECT_EQ(cluster::ExitCode(elsewhere.status), 1);
  EXPECT_TRUE(absl::StrContains(elsewhere.errors, "node 7, alone")) << elsewhere.errors;

  daemon.Kill(SIGTERM);
  ASSERT_TRUE(daemon.Wait(seconds(10)).has_value());
  struct stat info;
  EXPECT_NE(stat(run_.c_str(), &info), 0) << "the runtime directory is left";
}

TEST_F(ByHand, A_shell_without_a_view_says_why) {
  std::vector<std::string> argv = DaemonCommand();
  argv.push_back("--no-proc");
  Background daemon(argv);
  ASSERT_TRUE(AwaitDaemon());
  ToolResult shell = ShellHere({"--", "true"});
  EXPECT_EQ(cluster::ExitCode(shell.status), 1);
  EXPECT_TRUE(absl::StrContains(shell.errors, "--no-proc")) << shell.errors;
  daemon.Kill(SIGTERM);
  ASSERT_TRUE(daemon.Wait(seconds(10)).has_value());

  ToolResult gone = ShellHere({"--", "true"});
  EXPECT_EQ(cluster::ExitCode(gone.status), 1);
  EXPECT_TRUE(absl::StrContains(gone.errors, run_)) << gone.errors;
}

}  // namespace
}  // namespace clustix::netns
