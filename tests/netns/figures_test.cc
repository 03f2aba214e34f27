// SPDX-License-Identifier: Apache-2.0
//
// Tools that measure, count and list what is not a process, unmodified on the cluster's /proc:
// processors, sockets, locks, IPC objects, statistics.
#include <signal.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

constexpr int kPidsPerNode = 1 << 22;

class Figures : public RunningClusterTest {
 protected:
  void SetUp() override {
    RunningClusterTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // All nodes are heard: what a shell counts at its start is final.
    ASSERT_TRUE(Eventually(seconds(20), [this] {
      return Output({"sh", "-c", "ls -d /proc/nodes/*/stat | wc -l"}) == "3";
    }));
    cpus_ = Output({"grep", "-c", "^cpu[0-9]", "/proc/stat"});
  }

  // Of a program in the shell of node 1, without blanks around it.
  std::string Output(const std::vector<std::string>& program) {
    const ToolResult result = Shell(1, program);
    EXPECT_EQ(result.status, 0) << program[0] << ": " << result.errors;
    return std::string(absl::StripAsciiWhitespace(result.output));
  }
  std::vector<std::string> ShellCommand(int node, const std::vector<std::string>& program) {
    std::vector<std::string> argv = ShellArguments(node, program);
    argv.insert(argv.begin(), ClustixProgram());
    return argv;
  }
  void ExpectPrints(const std::vector<std::string>& tool, const std::vector<std::string>& words) {
    const ToolResult result = Shell(1, tool);
    EXPECT_EQ(result.status, 0) << tool[0] << ": " << result.errors;
    for (const std::string& word : words) {
      EXPECT_TRUE(absl::StrContains(result.output, word))
          << tool[0] << " without \"" << word << "\":\n"
          << result.output << result.errors;
    }
  }
  // The global pids of clustixd on all nodes.
  std::vector<std::string> Daemons() {
    std::vector<std::string> gpids;
    for (const nlohmann::json& row : Processes(1)) {
      if (row["comm"] == "clustixd") gpids.push_back(absl::StrCat(row["gpid"].get<int>()));
    }
    EXPECT_EQ(gpids.size(), 3u);
    return gpids;
  }

  std::string cpus_;  // processors of all nodes
};

TEST_F(Figures, Count_the_processors_of_all_nodes) {
  const std::string own = RunOn(1, {"cat", "/sys/devices/system/cpu/online"}).output;
  EXPECT_EQ(Output({"grep", "-c", "^processor", "/proc/cpuinfo"}), cpus_);
  EXPECT_EQ(Output({"sh", "-c", "lscpu -p=CPU | grep -vc '^#'"}), cpus_);
  EXPECT_EQ(Output({"getconf", "_NPROCESSORS_ONLN"}), cpus_);
  int count = 0;
  ASSERT_TRUE(absl::SimpleAtoi(cpus_, &count));
  EXPECT_EQ(Output({"cat", "/sys/devices/system/cpu/online"}), absl::StrCat("0-", count - 1));
  ExpectPrints({"mpstat", "-P", absl::StrCat(count - 1)}, {absl::StrCat("(", cpus_, " CPU)")});
  ExpectPrints({"mpstat", "-I", "SCPU", "-P", absl::StrCat(count - 1)}, {"TIMER/s"});
  // On how many of them a program may run is another question.
  EXPECT_EQ(Output({"nproc"}) + "\n", RunOn(1, {"nproc"}).output);
  EXPECT_NE(Shell(1, {"sh", "-c", "echo 0 > /sys/devices/system/cpu/online"}).status, 0);

  EXPECT_EQ(RunOn(1, {"cat", "/sys/devices/system/cpu/online"}).output, own);
  EXPECT_FALSE(
      absl::StrContains(RunOn(1, {"cat", "/proc/self/mounts"}).output, "/sys/devices/system/cpu"))
      << "is left when the shell has ended";
}

TEST_F(Figures, Show_the_control_groups_of_the_machine_to_be_read) {
  ToolResult here = *cluster::RunTool({"ls", "/sys/fs/cgroup"}, "");
  if (here.output.empty()) GTEST_SKIP() << "this machine has none";
  EXPECT_EQ(RunOn(2, {"ls", "/sys/fs/cgroup"}).output, here.output);
  EXPECT_NE(RunOn(2, {"mkdir", "/sys/fs/cgroup/clustix-test"}).status, 0);
  // Who looks at all that is mounted finds it.
  EXPECT_EQ(Shell(2, {"lsof", "-p", "1"}).errors.find("can't stat"), std::string::npos);
}

TEST_F(Figures, Find_the_sockets_of_all_nodes_and_whose_they_are) {
  const std::vector<std::string> daemons = Daemons();
  std::vector<std::string> owners;
  for (const std::string& gpid : daemons) owners.push_back("p" + gpid + "\n");
  ExpectPrints({"lsof", "-w", "-nP", "-iTCP:7400", "-sTCP:LISTEN", "-Fp"}, owners);
  ExpectPrints({"lsof", "-w", "-U"}, {"/exec.sock"});
  ExpectPrints({"fuser", "-n", "tcp", "7400"}, {daemons[0]});
  for (const std::string& gpid : daemons) {
    ExpectPrints({"lsof", "-w", "-nP", "-a", "-i", "-p", gpid}, {"ESTABLISHED"});
  }
  // Anybody may read them, and nobody learns where they are in a kernel's memory.
  const std::string tcp = Output({"setpriv", "--reuid=65533", "--regid=65533", "--clear-groups",
                                  "sh", "-c", "cat /proc/net/tcp /proc/net/unix"});
  std::set<std::string> listening;  // local addresses
  for (absl::string_view line : absl::StrSplit(tcp, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() > 11 && words[3] == "0A") {
      listening.insert(words[1]);
      EXPECT_EQ(words[11], std::string(words[11].size(), '0')) << line;
    }
  }
  EXPECT_GE(listening.size(), 3u) << tcp;
}

TEST_F(Figures, List_locks_and_ipc_objects_of_all_nodes) {
  ExpectPrints({"lslocks", "--noheadings", "-o", "PID"}, Daemons());
  ASSERT_SUCCESS(Shell(1, {"ipcmk", "-M", "4711"}));
  ASSERT_SUCCESS(Shell(2, {"ipcmk", "-M", "4712"}));
  ASSERT_SUCCESS(Shell(3, {"ipcmk", "-S", "17"}));
  ASSERT_SUCCESS(Shell(3, {"ipcmk", "-Q"}));
  ExpectPrints({"ipcs", "-m"}, {" 4711 ", " 4712 "});
  ExpectPrints({"ipcs", "-s"}, {" 17"});
  ExpectPrints({"sh", "-c", "ipcs -q | grep -c 0x"}, {"1\n"});
  ExpectPrints({"lsipc", "-m", "--noheadings", "-b", "-o", "SIZE"}, {"4711", "4712"});
  std::set<int> creators;  // nodes
  for (absl::string_view line :
       absl::StrSplit(Output({"lsipc", "-m", "--noheadings", "-o", "CPID"}), '\n')) {
    int pid = 0;
    if (absl::SimpleAtoi(line, &pid)) creators.insert(pid / kPidsPerNode);
  }
  EXPECT_EQ(creators, (std::set<int>{1, 2}));
  EXPECT_TRUE(absl::StrContains(Output({"cat", "/proc/nodes/2/sysvipc/shm"}), " 4712 "));
  EXPECT_FALSE(absl::StrContains(Output({"cat", "/proc/nodes/1/sysvipc/shm"}), " 4712 "));
}

TEST_F(Figures, Measure_all_nodes) {
  const std::vector<std::string> daemons = Daemons();
  Background sleeper(ShellCommand(3, {"sh", "-c", "echo started; exec sleep 4343"}));
  ASSERT_EQ(sleeper.ReadLine(seconds(10)), "started");
  ASSERT_TRUE(Eventually(seconds(5), [&] { return Processes(1, "sleep 4343").size() == 1; }));
  const std::string gpid = absl::StrCat(Processes(1, "sleep 4343")[0]["gpid"].get<int>());
  const std::string of_cpus = absl::StrCat("(", cpus_, " CPU)");
  for (const char* what : {"-u", "-r", "-d", "-w"}) {
    ExpectPrints({"pidstat", what, "-p", gpid}, {of_cpus, gpid, "sleep"});
  }
  ExpectPrints({"pidstat", "-t", "-p", daemons[2]}, {daemons[2], "|__clustixd"});
  ExpectPrints({"sar", "-u", "-r", "-v", "-q", "-n", "DEV,SOCK,TCP", "1", "1"},
               {of_cpus, "1.eth0", "2.eth0", "3.eth0", "tcpsck"});
  // No accounting of processes: that would be switched on for the whole node.
  ExpectPrints({"env", "ATOPACCT=", "atop", "1", "1"}, {"2.eth0", "numcpu", daemons[2]});
  ExpectPrints(
      {"glances", "--disable-check-update", "--stdout", "load,processlist", "--stop-after", "1"},
      {absl::StrCat("'cpucore': ", cpus_, "}"), absl::StrCat("'pid': ", gpid),
       absl::StrCat("'pid': ", daemons[1])});
  ExpectPrints({"w"}, {"load average", "LOGIN@"});
  sleeper.Kill(SIGKILL);
}

}  // namespace
}  // namespace clustix::netns
