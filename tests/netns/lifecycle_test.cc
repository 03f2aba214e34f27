// SPDX-License-Identifier: Apache-2.0
//
// up and down: they may be repeated, interrupted and run after any crash, and down leaves nothing.
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/mounts.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::set<std::string> FilesOf(const std::string& path) {
  std::set<std::string> names;
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) names.insert(entry->d_name);
  closedir(dir);
  return names;
}

std::string Link(const std::string& path) {
  char text[256];
  ssize_t n = readlink(path.c_str(), text, sizeof(text));
  return n > 0 ? std::string(text, static_cast<size_t>(n)) : "";
}

// The namespaces of a process, as "net:[4026532000]".
std::set<std::string> NamespacesOf(pid_t pid) {
  std::set<std::string> found;
  for (const char* kind : {"net", "mnt", "pid", "uts", "ipc"}) {
    std::string name = Link(absl::StrCat("/proc/", pid, "/ns/", kind));
    if (!name.empty()) found.insert(name);
  }
  return found;
}

// Those that some process lives in or holds open.
std::set<std::string> NamespacesInUse() {
  std::set<std::string> found;
  for (pid_t pid : cluster::ListPids()) {
    if (!cluster::IdentifyProcess(pid)) continue;  // a zombie, which its parent has yet to reap
    found.merge(NamespacesOf(pid));
    const std::string descriptors = absl::StrCat("/proc/", pid, "/fd");
    for (const std::string& fd : FilesOf(descriptors)) {
      std::string target = Link(descriptors + "/" + fd);
      if (absl::StartsWith(target, "net:[")) found.insert(target);
    }
  }
  return found;
}

class Lifecycle : public ClusterTest {
 protected:
  std::string HostLinks() {
    return cluster::RunTool({"ip", "-o", "link"}, "")->output +
           cluster::RunTool({"ip", "-o", "addr"}, "")->output;
  }
};

TEST_F(Lifecycle, Down_leaves_no_trace_of_what_up_made) {
  const std::string links = HostLinks();
  const std::set<std::string> shared_memory = FilesOf("/dev/shm"), runtime = FilesOf("/run");
  ASSERT_SUCCESS(Up());
  EXPECT_EQ(HostLinks(), links) << "up touched the host's network";
  std::set<std::string> namespaces;
  for (int node = 1; node <= 3; ++node) {
    std::set<std::string> own = NamespacesOf(NodeInit(node).pid);
    EXPECT_EQ(own.size(), 5u);
    namespaces.merge(own);
  }
  namespaces.insert(Link(absl::StrCat("/proc/", NodeInit(1).pid, "/fd/4")));
  EXPECT_EQ(namespaces.size(), 16u) << "five for each node, and the switch";
  for (const std::string& own : NamespacesOf(getpid())) EXPECT_FALSE(namespaces.contains(own));

  ASSERT_SUCCESS(Down());
  EXPECT_EQ(Leftovers(layout().base()), "");
  for (const std::string& used : NamespacesInUse()) EXPECT_FALSE(namespaces.contains(used)) << used;
  EXPECT_EQ(HostLinks(), links);
  EXPECT_EQ(FilesOf("/dev/shm"), shared_memory);
  EXPECT_EQ(FilesOf("/run"), runtime);
}

TEST_F(Lifecycle, Up_keeps_a_cluster_that_runs) {
  ASSERT_SUCCESS(Up());
  const cluster::ProcessId first = NodeInit(1), daemon = Daemon(3);
  ToolResult again = Up();
  ASSERT_SUCCESS(again);
  EXPECT_NE(again.output.find("already running, 3 nodes"), std::string::npos) << again.output;
  EXPECT_EQ(NodeInit(1), first);
  EXPECT_EQ(Daemon(3), daemon);
}

TEST_F(Lifecycle, Up_restarts_a_cluster_of_another_build_when_asked_to) {
  const std::string build = absl::StrCat("/tmp/clustix-build-", getpid());
  ASSERT_SUCCESS(*cluster::RunTool({"cp", "-r", CLUSTIX_BIN_DIR, build}, ""));
  ASSERT_SUCCESS(
      *cluster::RunTool({build + "/clustix", "up", "--quiet", "--base-dir", layout().base()}, ""));
  const cluster::ProcessId other = NodeInit(1);
  ASSERT_SUCCESS(Up());
  EXPECT_EQ(NodeInit(1), other);
  ToolResult again = Up({"--same-build"});
  ASSERT_SUCCESS(again);
  EXPECT_NE(again.errors.find(build), std::string::npos) << again.errors;
  const cluster::ProcessId own = NodeInit(1);
  EXPECT_FALSE(own == other);
  ASSERT_SUCCESS(Up({"--same-build"}));
  EXPECT_EQ(NodeInit(1), own);
  ASSERT_SUCCESS(*cluster::RunTool({"rm", "-r", build}, ""));
}

TEST_F(Lifecycle, A_wrong_command_line_is_told_what_is_wrong_with_it) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "clustix: A subcommand is required (see: clustix --help)\n"},
      {{"pss"}, "clustix: no such command: pss; did you mean ps? (see: clustix --help)\n"},
      {{"defenestrate"}, "clustix: no such command: defenestrate (see: clustix --help)\n"},
      {{"--pss"}, "clustix: not expected: --pss (see: clustix --help)\n"},
      {{"bench", "msg", "--modes", "rpc"},
       "clustix: --modes: unknown mode \"rpc\" (valid: sync, async, oneway) (see: clustix bench "
       "msg "
       "--help)\n"},
      {{"ps", "aux", "x"}, "clustix: not expected: aux (see: clustix ps --help)\n"},
      {{"exec", "--", "true"}, "clustix: --node is required (see: clustix exec --help)\n"},
      {{"set", "create", "a/b", "--replicas", "9"},
       "clustix: --replicas: not one of 2, 3, volatile: 9 (see: clustix set create --help)\n"},
      {{"wait", "--timeout", "soon", "1"},
       "clustix: --timeout: not a time: soon (seconds, 0.001 to 1e9) (see: clustix wait --help)\n"},
      {{"nice", "-n", "30", "4194305"}, "clustix: not a niceness: 30 (-20 to 19)\n"},
      {{"up", "--nodes", "0"},
       "clustix: --nodes: Value 0 not in range 1 to 32 (see: clustix up --help)\n"},
  };
  for (const auto& [arguments, errors] : cases) {
    ToolResult result = Clustix(arguments);
    EXPECT_EQ(cluster::ExitCode(result.status), 2);
    EXPECT_EQ(result.errors, errors);
  }
  EXPECT_EQ(Clustix({"ps", "--socket", "/none"}).errors,
            Clustix({"--socket", "/none", "ps"}).errors);
}

TEST_F(Lifecycle, Output_that_cannot_be_written_is_a_failure) {
  ToolResult full =
      *cluster::RunTool({"sh", "-c", CLUSTIX_BIN_DIR "/clustix version >/dev/full"}, "");
  EXPECT_EQ(cluster::ExitCode(full.status), 1);
  EXPECT_EQ(full.errors, "clustix: cannot write the output: No space left on device\n");
}

TEST_F(Lifecycle, Up_with_another_number_of_nodes_says_what_to_do) {
  ASSERT_SUCCESS(Up({"--nodes", "2"}));
  EXPECT_SUCCESS(Up({"--nodes", "2"}));
  ToolResult other = Up({"--nodes", "4"});
  EXPECT_EQ(cluster::ExitCode(other.status), 1);
  EXPECT_NE(other.errors.find("clustix down"), std::string::npos) << other.errors;
  EXPECT_EQ(NodeInit(3).pid, 0);
}

TEST_F(Lifecycle, Up_completes_a_cluster_of_which_a_node_has_died) {
  ASSERT_SUCCESS(Up());
  const cluster::ProcessId first = NodeInit(1), second = NodeInit(2);
  Signal(second, SIGKILL);
  ASSERT_TRUE(AwaitGone(second, seconds(10)));
  ASSERT_SUCCESS(Up());
  EXPECT_EQ(NodeInit(1), first);
  EXPECT_NE(NodeInit(2).pid, 0);
  EXPECT_TRUE(AwaitAllUp(3));
}

TEST_F(Lifecycle, Up_and_down_touch_no_directory_that_holds_something_else) {
  const std::string& base = layout().base();
  for (const std::string name : {"precious.txt", "cluster.key"}) {
    const std::string foreign = absl::StrCat(base, "/", name);
    ASSERT_SUCCESS(*cluster::RunTool({"mkdir", "-p", base, base + "-vm"}, ""));
    ASSERT_SUCCESS(*cluster::RunTool({"tee", foreign, base + "-vm/precious.txt"}, "kept"));
    for (const ToolResult& refused : {Up(), Down()}) {
      EXPECT_EQ(cluster::ExitCode(refused.status), 1);
      EXPECT_NE(refused.errors.find("nothing was touched"), std::string::npos) << refused.errors;
    }
    EXPECT_EQ(*cluster::ReadFile(foreign), "kept");
    EXPECT_EQ(*cluster::ReadFile(base + "-vm/precious.txt"), "kept");
    EXPECT_EQ(FilesOf(base), (std::set<std::string>{".", "..", name}));
    ASSERT_SUCCESS(*cluster::RunTool({"rm", "-r", base, base + "-vm"}, ""));
  }
}

TEST_F(Lifecycle, Down_may_be_repeated_and_works_on_nothing) {
  EXPECT_SUCCESS(Down());
  ASSERT_SUCCESS(Up());
  EXPECT_SUCCESS(Down());
  EXPECT_SUCCESS(Down());
}

TEST_F(Lifecycle, Down_ends_a_cluster_whose_daemons_were_killed) {
  ASSERT_SUCCESS(Up());
  for (int node = 1; node <= 3; ++node) Signal(Daemon(node), SIGKILL);
  EXPECT_SUCCESS(Down());
  EXPECT_EQ(Leftovers(layout().base()), "");
}

TEST_F(Lifecycle, Down_ends_a_cluster_whose_first_processes_were_killed) {
  ASSERT_SUCCESS(Up());
  for (int node = 1; node <= 3; ++node) Signal(NodeInit(node), SIGKILL);
  EXPECT_SUCCESS(Down());
  EXPECT_EQ(Leftovers(layout().base()), "");
}

TEST_F(Lifecycle, Down_ends_a_cluster_whose_processes_are_stopped) {
  ASSERT_SUCCESS(Up());
  Signal(Daemon(1), SIGSTOP);
  Signal(Daemon(2), SIGSTOP);
  Signal(NodeInit(2), SIGSTOP);
  EXPECT_SUCCESS(Down());
  EXPECT_EQ(Leftovers(layout().base()), "");
}

TEST_F(Lifecycle, Down_needs_no_state_file) {
  ASSERT_SUCCESS(Up());
  ASSERT_TRUE(cluster::RemoveFile(layout().StateFile()).ok());
  EXPECT_SUCCESS(Down());
  EXPECT_EQ(Leftovers(layout().base()), "");
}

TEST_F(Lifecycle, Down_ends_what_runs_in_an_open_shell) {
  ASSERT_SUCCESS(Up());
  std::vector<std::string> argv = ShellArguments(2, {"sh", "-c", "echo in; exec sleep 4243"});
  argv.insert(argv.begin(), std::string(CLUSTIX_BIN_DIR) + "/clustix");
  Background shell(argv);
  ASSERT_EQ(shell.ReadLine(seconds(10)), "in");
  EXPECT_SUCCESS(Down());
  EXPECT_TRUE(shell.Wait(seconds(10)).has_value());
}

// `up` is killed as soon as a sign of its progress shows, from its first file to its last word.
TEST_F(Lifecycle, Down_clears_away_what_an_interrupted_up_has_left) {
  const std::string base = layout().base();
  const std::vector<std::string> signs = {base,
                                          layout().ConfigFile(),
                                          layout().NodeDir(1),
                                          layout().NodeDir(3),
                                          layout().StateFile(),
                                          layout().Socket(1)};
  for (const std::string& sign : signs) {
    for (int signal : {SIGINT, SIGKILL}) {
      Background up(
          {std::string(CLUSTIX_BIN_DIR) + "/clustix", "up", "--quiet", "--base-dir", base});
      ASSERT_TRUE(Eventually(seconds(20), [&] { return access(sign.c_str(), F_OK) == 0; })) << sign;
      up.Kill(signal);
      ASSERT_TRUE(up.Wait(seconds(20)).has_value());
      EXPECT_SUCCESS(Down());
      EXPECT_EQ(Leftovers(base), "") << "signal " << signal << " at " << sign;
    }
  }
}

TEST_F(Lifecycle, Up_makes_a_whole_cluster_after_an_interrupted_one) {
  {
    Background up({std::string(CLUSTIX_BIN_DIR) + "/clustix", "up", "--quiet", "--base-dir",
                   layout().base()});
    ASSERT_TRUE(Eventually(seconds(20), [&] { return NodeInit(2).pid != 0; }));
    up.Kill(SIGKILL);
    ASSERT_TRUE(up.Wait(seconds(20)).has_value());
  }
  ASSERT_SUCCESS(Up());
  EXPECT_TRUE(AwaitAllUp(3));
}

TEST_F(Lifecycle, Two_ups_at_once_make_one_cluster) {
  Background other(
      {std::string(CLUSTIX_BIN_DIR) + "/clustix", "up", "--quiet", "--base-dir", layout().base()});
  EXPECT_SUCCESS(Up());
  EXPECT_EQ(other.Wait(seconds(30)), 0);
  EXPECT_TRUE(AwaitAllUp(3));
}

TEST_F(Lifecycle, A_node_sees_its_own_processes_network_and_name_only) {
  ASSERT_SUCCESS(Up());
  EXPECT_EQ(RunOn(2, {"hostname"}).output, "node2\n");
  ToolResult links = RunOn(2, {"ip", "-br", "addr"});
  EXPECT_NE(links.output.find("10.201.0.2/24"), std::string::npos) << links.output;
  EXPECT_EQ(links.output.find("bridge"), std::string::npos) << links.output;
  EXPECT_EQ(RunOn(2, {"sh", "-c", "cd " + layout().base() + " && ls -d node*"}).output, "node2\n");
  EXPECT_EQ(RunOn(2, {"ls", "/dev/shm"}).output, "");
  EXPECT_EQ(RunOn(2, {"cat", "/proc/1/comm"}).output, "clustix\n");
}

class Loopback : public ClusterTest {};

TEST_F(Loopback, Runs_without_namespaces) {
  ToolResult up = Up({"--loopback"});
  ASSERT_SUCCESS(up);
  EXPECT_NE(up.output.find("127.0.0.2"), std::string::npos) << up.output;
  EXPECT_TRUE(AwaitAllUp(3));
  const cluster::ProcessId daemon = Daemon(2);
  Signal(daemon, SIGKILL);
  ASSERT_TRUE(AwaitGone(daemon, seconds(10)));
  EXPECT_TRUE(Eventually(seconds(10), [&] { return Daemon(2).pid != 0; }));
  EXPECT_TRUE(AwaitAllUp(3));
  EXPECT_SUCCESS(Down());
  EXPECT_EQ(Leftovers(layout().base()), "");
}

TEST_F(Loopback, Runs_where_the_view_cannot_be_mounted) {
  const std::string program = std::string(CLUSTIX_BIN_DIR) + "/clustix";
  const std::string no_fuse =
      "mount --bind /dev/null /dev/fuse && exec " + program + " up --loopback --base-dir ";
  ToolResult up = *cluster::RunTool({"unshare", "-m", "sh", "-c", no_fuse + layout().base()}, "");
  ASSERT_SUCCESS(up);
  EXPECT_NE(up.output.find("/proc is not mounted"), std::string::npos) << up.output;
  EXPECT_EQ(Processes(1).empty(), false);
  ToolResult shell = Shell(1, {"true"});
  EXPECT_EQ(cluster::ExitCode(shell.status), 1);
  EXPECT_NE(shell.errors.find("has no view"), std::string::npos) << shell.errors;
  EXPECT_SUCCESS(Down());
}

TEST_F(Loopback, Works_for_a_user_who_is_not_root) {
  const std::vector<std::string> nobody = {"setpriv", "--reuid=65534", "--regid=65534",
                                           "--clear-groups"};
  const std::string base = absl::StrCat("/tmp/clustix-test-", getpid());
  auto run = [&](std::vector<std::string> arguments) {
    std::vector<std::string> argv = nobody;
    argv.push_back(std::string(CLUSTIX_BIN_DIR) + "/clustix");
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return *cluster::RunTool(argv, "");
  };
  if (run({"version"}).status != 0) GTEST_SKIP() << "nobody may not run " << CLUSTIX_BIN_DIR;
  ToolResult up = run({"up", "--quiet", "--base-dir", base});
  EXPECT_SUCCESS(up);
  EXPECT_NE(up.output.find("because namespaces need root"), std::string::npos) << up.output;
  const cluster::Layout theirs(base);
  EXPECT_SUCCESS(run({"--socket", theirs.Socket(3), "status"}));
  // The kernel hands the files of a process that is not to be dumped, or looked into, to root.
  const nlohmann::json status = nlohmann::json::parse(
      run({"--socket", theirs.Socket(3), "status", "--json"}).output, nullptr, false);
  ASSERT_TRUE(status.is_object());
  struct stat daemon;
  ASSERT_EQ(stat(absl::StrCat("/proc/", status["pid"].get<int>(), "/status").c_str(), &daemon), 0);
  EXPECT_EQ(daemon.st_uid, 0u) << "its memory, with the cluster key, can be dumped";
  if (!cluster::MountPoints(theirs.ProcMount(1)).empty()) {
    ToolResult ps = run({"shell", "--base-dir", base, "--", "ps", "-ef"});
    EXPECT_SUCCESS(ps);
    EXPECT_NE(ps.output.find(theirs.NodeDir(3)), std::string::npos) << ps.output;
  }
  EXPECT_SUCCESS(run({"down", "--base-dir", base}));
  EXPECT_EQ(Leftovers(base), "");
}

TEST_F(Loopback, Leaves_no_daemon_whose_first_process_was_killed) {
  ASSERT_SUCCESS(Up({"--loopback"}));
  Signal(Daemon(1), SIGSTOP);  // it cannot even hear that its parent died
  Signal(NodeInit(1), SIGKILL);
  EXPECT_SUCCESS(Down());
  EXPECT_EQ(Leftovers(layout().base()), "");
}

}  // namespace
}  // namespace clustix::netns
