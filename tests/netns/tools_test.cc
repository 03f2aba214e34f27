// SPDX-License-Identifier: Apache-2.0
//
// The tools that administrators know, unmodified, on the cluster's /proc; and the view itself
// walked while processes come and go. What does not work is listed in docs/PROC.md.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPidsPerNode = 1 << 22;

class Tools : public RunningClusterTest {
 protected:
  std::vector<std::string> InShell(int node, const std::vector<std::string>& program) {
    std::vector<std::string> argv = ShellArguments(node, program);
    argv.insert(argv.begin(), ClustixProgram());
    return argv;
  }
  // Runs a tool on node 1 and expects `word` in what it prints.
  void ExpectPrints(const std::vector<std::string>& tool, const std::string& word) {
    const ToolResult result = Shell(1, tool);
    EXPECT_EQ(result.status, 0) << tool[0] << ": " << result.errors;
    EXPECT_TRUE(absl::StrContains(result.output, word))
        << tool[0] << " without \"" << word << "\":\n"
        << result.output << result.errors;
  }
};

TEST_F(Tools, Look_into_a_process_of_another_node) {
  Background sleeper(
      InShell(2, {"sh", "-c", "cd /usr; exec 9</etc/passwd; echo started; exec sleep 4242"}));
  ASSERT_EQ(sleeper.ReadLine(seconds(10)), "started");
  ASSERT_TRUE(Eventually(seconds(5), [&] { return Processes(1, "sleep 4242").size() == 1; }));
  const std::string gpid = absl::StrCat(Processes(1, "sleep 4242")[0]["gpid"].get<int>());

  ExpectPrints({"pidof", "sleep"}, gpid);
  ExpectPrints({"pgrep", "-f", "^sleep 4242$"}, gpid);
  ExpectPrints({"pwdx", gpid}, gpid + ": /usr\n");
  for (const char* option : {"-p", "-x", "-X"}) {
    ExpectPrints({"pmap", option, gpid}, "sleep");
  }
  ExpectPrints({"lsof", "-w", "-p", gpid}, "/usr/bin/sleep");
  ExpectPrints({"readlink", absl::StrCat("/proc/", gpid, "/fd/9")}, "/etc/passwd\n");
  ExpectPrints({"cat", absl::StrCat("/proc/", gpid, "/fdinfo/9")}, "pos:");
  ExpectPrints({"readlink", absl::StrCat("/proc/", gpid, "/ns/mnt")}, "mnt:[");
  ExpectPrints({"lsof", "-w", "-p", gpid}, "/etc/passwd");
  ExpectPrints({"fuser", "/etc/passwd"}, gpid);
  ExpectPrints({"fuser", "/usr/bin/sleep"}, gpid);
  ExpectPrints({"prtstat", gpid}, "Process: sleep");
  ExpectPrints({"ps", "-o", "pid,wchan:30,cgroup,rss,pss,args", "-p", gpid}, "sleep 4242");
  ExpectPrints({"ps", "-o", "wchan:30=", "-p", gpid}, "nanosleep");
  ExpectPrints({"top", "-b", "-n1", "-p", gpid}, gpid);
  ExpectPrints({"pstree", "-p", gpid}, "sleep(" + gpid + ")");
  ExpectPrints({"cat", absl::StrCat("/proc/", gpid, "/limits")}, "Max open files");
  ExpectPrints({"cat", absl::StrCat("/proc/", gpid, "/smaps_rollup")}, "[rollup]");
  ExpectPrints({"cat", absl::StrCat("/proc/", gpid, "/sched")}, "nr_switches");

  // As the kernel would have it for a stranger.
  const std::vector<std::string> stranger = {"setpriv", "--reuid=65533", "--regid=65533",
                                             "--clear-groups", "cat"};
  auto as_stranger = [&](const std::string& file) {
    std::vector<std::string> argv = stranger;
    argv.push_back(absl::StrCat("/proc/", gpid, "/", file));
    return Shell(1, argv);
  };
  for (const char* closed : {"maps", "smaps", "smaps_rollup", "environ", "io"}) {
    EXPECT_TRUE(absl::StrContains(as_stranger(closed).errors, "Permission denied")) << closed;
  }
  EXPECT_TRUE(absl::StrContains(as_stranger("fdinfo/9").errors, "Permission denied"));
  EXPECT_TRUE(absl::StrContains(as_stranger("ns/mnt").errors, "Permission denied"));
  EXPECT_EQ(as_stranger("wchan").output, "0");
  EXPECT_SUCCESS(as_stranger("limits"));
}

TEST_F(Tools, Show_nobody_what_the_proc_of_its_node_hides) {
  Background sleeper(InShell(2, {"sh", "-c", "echo started; exec sleep 4343"}));
  ASSERT_EQ(sleeper.ReadLine(seconds(10)), "started");
  ASSERT_TRUE(Eventually(seconds(5), [&] { return Processes(1, "sleep 4343").size() == 1; }));
  const std::string gpid = absl::StrCat(Processes(1, "sleep 4343")[0]["gpid"].get<int>());
  auto as_stranger = [&](std::vector<std::string> argv) {
    argv.insert(argv.begin(), {"setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"});
    return Shell(1, argv).output;
  };
  auto ways_to_see_it = [&] {
    return int{absl::StrContains(as_stranger({"ps", "-eo", "args"}), "sleep 4343")} +
           int{absl::StrContains(as_stranger({ClustixProgram(), "ps", "-ef"}), "sleep 4343")} +
           int{as_stranger({"cat", absl::StrCat("/proc/", gpid, "/comm")}) == "sleep\n"};
  };
  EXPECT_EQ(ways_to_see_it(), 3);
  ASSERT_SUCCESS(RunOn(2, {"mount", "-o", "remount,hidepid=invisible", "/proc"}));
  EXPECT_TRUE(Eventually(seconds(10), [&] { return ways_to_see_it() == 0; }));
  ExpectPrints({"ps", "-o", "args=", "-p", gpid}, "sleep 4343");
  ExpectPrints({ClustixProgram(), "ps", "-ef"}, "sleep 4343");
  ASSERT_SUCCESS(RunOn(2, {"mount", "-o", "remount,hidepid=off", "/proc"}));
  EXPECT_TRUE(Eventually(seconds(10), [&] { return ways_to_see_it() == 3; }));
}

// Is there a process of this number in the view of node 1?
bool IsListed(const std::string& root, const std::string& gpid) {
  DIR* directory = opendir(root.c_str());
  bool found = false;
  while (const dirent* entry = directory == nullptr ? nullptr : readdir(directory)) {
    found = found || gpid == entry->d_name;
  }
  if (directory != nullptr) closedir(directory);
  return found;
}

TEST_F(Tools, See_births_and_exits_on_other_nodes) {
  const std::string root = layout().ProcMount(1);
  EXPECT_TRUE(absl::StrContains(Shell(1, {"cat", "/proc/nodes/2/status"}).output,
                                "watch:\tpolling every 20 to 50 ms: "))
      << "a node made of namespaces has no process connector";
  Background parent(InShell(2, {"sh", "-c", "sleep 4343 & echo $!; wait; echo over; exec cat"}));
  const auto pid = parent.ReadLine(seconds(10));
  ASSERT_TRUE(pid.has_value());
  int local = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*pid, &local));
  const std::string gpid = absl::StrCat(2 * kPidsPerNode + local);
  EXPECT_TRUE(Eventually(seconds(10), [&] { return IsListed(root, gpid); }));
  EXPECT_SUCCESS(Ask(1, {"kill", gpid}));
  EXPECT_EQ(parent.ReadLine(seconds(10)), "over");
  EXPECT_TRUE(Eventually(seconds(10), [&] { return !IsListed(root, gpid); }));
}

TEST_F(Tools, Sum_up_the_cluster) {
  ExpectPrints({"free", "-h"}, "Mem:");
  ExpectPrints({"uptime"}, "load average");
  ExpectPrints({"vmstat"}, "procs");
  ExpectPrints({"vmstat", "-s"}, "total memory");
  ExpectPrints({"w"}, "USER");
  ExpectPrints({"busybox", "ps"}, absl::StrCat(3 * kPidsPerNode + 1));
  for (const std::vector<std::string>& formats :
       {std::vector<std::string>{"aux"}, {"-ef"}, {"-eLf"}, {"axjf"}, {"-eo", "pid,stat,lstart"}}) {
    std::vector<std::string> ps = {"ps"};
    ps.insert(ps.end(), formats.begin(), formats.end());
    ExpectPrints(ps, absl::StrCat(3 * kPidsPerNode + 1));
  }
  ExpectPrints({"top", "-b", "-H", "-n1", "-w", "200"}, "Threads:");
}

TEST_F(Tools, Choose_processes_by_the_options_of_ps) {
  const std::string first = absl::StrCat(3 * kPidsPerNode + 1);
  const nlohmann::json by_pid = AskJson(1, {"ps", "-p", first});
  ASSERT_EQ(by_pid.size(), 1u);
  EXPECT_EQ(by_pid[0]["node"], 3);
  EXPECT_EQ(AskJson(1, {"ps", "-C", "clustixd"}).size(), 3u);
  EXPECT_EQ(AskJson(1, {"ps", "-C", "clustixd", "--node", "2", "-p", first}).size(), 1u);
  EXPECT_EQ(AskJson(1, {"ps", "-u", "root"}).size(), AskJson(1, {"ps", "-u", "0"}).size());
  for (const char* all : {"-A", "-e"}) {
    EXPECT_GT(AskJson(1, {"ps", all, "-p", first, "-u", "nobody"}).size(), 3u) << all;
  }
  EXPECT_EQ(WEXITSTATUS(Ask(1, {"ps", "-p", "7"}).status), 1);
  EXPECT_EQ(WEXITSTATUS(Ask(1, {"ps", "-p", "x"}).status), 2);
  EXPECT_EQ(WEXITSTATUS(Ask(1, {"ps", "-u", "no such user"}).status), 2);
}

TEST_F(Tools, Draw_the_cluster_on_a_terminal) {
  for (const std::string tool : {"top", "htop"}) {
    // One server each: the last one may still be at its end when the next is started.
    const std::string server = absl::StrCat(layout().base(), "/tmux-", tool);
    auto tmux = [&](std::vector<std::string> arguments) {
      arguments.insert(arguments.begin(), {"tmux", "-f", "/dev/null", "-S", server});
      return *cluster::RunTool(arguments, "");
    };
    // htop lists threads too, of which each daemon has more than twenty.
    std::vector<std::string> start = {"new-session", "-d", "-x", "180", "-y", "250"};
    for (const std::string& word : InShell(1, {tool})) start.push_back(word);
    ASSERT_SUCCESS(tmux(start));
    std::string screen;
    EXPECT_TRUE(Eventually(seconds(20),
                           [&] {
                             screen = tmux({"capture-pane", "-p"}).output;
                             return absl::StrContains(screen, absl::StrCat(3 * kPidsPerNode + 1)) &&
                                    absl::StrContains(screen, absl::StrCat(2 * kPidsPerNode + 1));
                           }))
        << tool << ":\n"
        << screen;
    tmux({"kill-server"});
  }
}

TEST_F(Tools, Watch_the_cluster_with_top_on_any_terminal) {
  const std::string once = absl::StrCat(ClustixProgram(), " --socket ", layout().Socket(1), " top");
  const ToolResult batch = *cluster::RunTool({"sh", "-c", once + " -b -n 2 -d 0.1"}, "");
  EXPECT_SUCCESS(batch);
  for (int node = 1; node <= 3; ++node) {
    EXPECT_TRUE(absl::StrContains(batch.output, absl::StrCat(node * kPidsPerNode + 1)));
  }
  const ToolResult elsewhere = *cluster::RunTool({"sh", "-c", once}, "");
  EXPECT_EQ(WEXITSTATUS(elsewhere.status), 1);
  EXPECT_TRUE(absl::StrContains(elsewhere.errors, "needs a terminal")) << elsewhere.errors;

  const std::string server = absl::StrCat(layout().base(), "/tmux-clustix-top");
  auto tmux = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"tmux", "-f", "/dev/null", "-S", server});
    return *cluster::RunTool(arguments, "");
  };
  std::string screen;
  auto shows = [&](const std::string& text, const std::string& first = "") {
    const bool shown = Eventually(seconds(20), [&] {
      screen = tmux({"capture-pane", "-p"}).output;
      return absl::StrContains(screen, text) && absl::StartsWith(screen, first);
    });
    EXPECT_TRUE(shown) << first << " ... " << text << " is not on:\n" << screen;
  };
  auto press = [&](const std::vector<std::string>& keys) {
    std::vector<std::string> send = {"send-keys"};
    send.insert(send.end(), keys.begin(), keys.end());
    EXPECT_SUCCESS(tmux(send));
  };
  const std::string twice = "trap : INT; " + once + "; echo left with $?; read -r line; " + once +
                            "; echo then $?; stty -a | grep -o ' icanon'; exec cat";
  ASSERT_SUCCESS(tmux({"new-session", "-d", "-x", "100", "-y", "30", "sh", "-c", twice}));
  shows("q Quit", "clustix top: 3 nodes");
  press({"h"});
  shows("this help");
  press({"x", "N", "2"});
  shows("node 2 shown");
  shows(absl::StrCat(2 * kPidsPerNode + 1));
  EXPECT_SUCCESS(tmux({"resize-window", "-x", "40", "-y", "10"}));
  shows("F9 Kill q Qu\n", "clustix top: 3 nodes");
  press({"q"});
  shows("left with 0");
  press({"Enter"});
  shows("q Qu", "clustix top: 3 nodes");
  press({"C-c"});
  shows("then 130");
  shows(" icanon");
  tmux({"kill-server"});
}

// One look at every process that the view lists.
class Walk {
 public:
  explicit Walk(std::string root) : root_(std::move(root)) {}

  void Run() {
    DIR* directory = opendir(root_.c_str());
    ASSERT_NE(directory, nullptr);
    while (const dirent* entry = readdir(directory)) {
      int gpid;
      if (!absl::SimpleAtoi(entry->d_name, &gpid)) continue;
      EXPECT_TRUE(listed_.insert(gpid).second) << gpid << " is listed twice";
    }
    closedir(directory);
    for (int gpid : listed_) Look(gpid);
    for (const auto& [gpid, parent] : parents_) {
      EXPECT_TRUE(IsClosed(gpid, parent)) << gpid << " has the parent " << parent;
    }
  }
  const std::set<int>& listed() const { return listed_; }

 private:
  // 0 or the errno of the first call that fails.
  int Read(int gpid, const std::string& name, std::string* text) {
    const base::UniqueFd fd(
        open(absl::StrCat(root_, "/", gpid, "/", name).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return errno;
    text->clear();
    char bytes[4096];
    ssize_t got;
    while ((got = read(fd.get(), bytes, sizeof(bytes))) > 0) {
      text->append(bytes, static_cast<size_t>(got));
    }
    return got == 0 ? 0 : errno;
  }

  void Look(int gpid) {
    std::map<std::string, std::string> files;
    for (const std::string name :
         {"stat", "status", "statm", "comm", "cmdline", "cgroup", "wchan", "limits"}) {
      const int error = Read(gpid, name, &files[name]);
      EXPECT_TRUE(error == 0 || error == ENOENT || error == ESRCH)
          << gpid << "/" << name << ": " << strerror(error);
      if (error != 0) return;  // cleanly gone
    }
    const auto stat = procview::ParseProcessStat(files["stat"]);
    const auto status = procview::ParseProcessStatus(files["status"]);
    ASSERT_TRUE(stat.ok() && status.ok() && procview::ParseStatm(files["statm"]).ok()) << gpid;
    EXPECT_EQ(stat->pid, gpid);
    EXPECT_EQ(status->pid, gpid);
    EXPECT_FALSE(files["comm"].empty());
    parents_[gpid] = stat->ppid;
  }

  // Is the parent the root, or listed, or there by now? Or has the child another one by now?
  bool IsClosed(int gpid, int parent) {
    if (parent == 1 || listed_.count(parent) > 0) return true;
    std::string text;
    if (Read(parent, "stat", &text) == 0) return true;
    if (Read(gpid, "stat", &text) != 0) return true;
    const auto stat = procview::ParseProcessStat(text);
    return stat.ok() && stat->ppid != parent;
  }

  const std::string root_;
  std::set<int> listed_;
  std::map<int, int> parents_;
};

TEST_F(Tools, Find_the_view_sound_while_processes_come_and_go) {
  std::vector<std::unique_ptr<Background>> churn;
  for (int node = 1; node <= 3; ++node) {
    churn.push_back(std::make_unique<Background>(
        InShell(node, {"sh", "-c", "echo started; while sleep 0.01; do (sleep 0.02 &); done"})));
    ASSERT_EQ(churn.back()->ReadLine(seconds(10)), "started");
  }
  std::map<int, std::set<int>> born, gone;  // by node
  std::set<int> before;
  auto changed_everywhere = [&] {
    Walk walk(layout().ProcMount(1));
    walk.Run();
    for (int gpid : walk.listed()) {
      if (!before.empty() && before.count(gpid) == 0) born[gpid / kPidsPerNode].insert(gpid);
    }
    for (int gpid : before) {
      if (walk.listed().count(gpid) == 0) gone[gpid / kPidsPerNode].insert(gpid);
    }
    before = walk.listed();
    auto enough = [](const auto& node) { return node.second.size() >= 10; };
    return HasFatalFailure() ||
           (born.size() == 3 && gone.size() == 3 && std::all_of(born.begin(), born.end(), enough) &&
            std::all_of(gone.begin(), gone.end(), enough));
  };
  EXPECT_TRUE(Eventually(seconds(60), changed_everywhere)) << "nothing came or went";
  for (auto& shell : churn) shell->Kill(SIGTERM);
  Ask(1, {"pkill", "-KILL", "-f", "^sh -c echo started; while"});
}

}  // namespace
}  // namespace clustix::netns
