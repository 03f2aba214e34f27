// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/mounts.h"
#include "daemon/cluster/scan.h"

namespace clustix::netns {
namespace {

using cluster::After;
using cluster::LeftMs;

constexpr int kNodeNamespaces = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;

std::string Program(const std::string& name) { return std::string(CLUSTIX_BIN_DIR) + "/" + name; }

ToolResult MustRun(const std::vector<std::string>& argv, const std::string& input,
                   const std::function<int()>& prepare = nullptr) {
  absl::StatusOr<ToolResult> result = cluster::RunTool(argv, input, prepare);
  if (result.ok()) return *result;
  return ToolResult{.status = -1, .output = "", .errors = result.status().ToString()};
}

}  // namespace

Background::Background(const std::vector<std::string>& argv, const std::function<int()>& prepare) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return;
  base::UniqueFd child_in(in[0]), child_out(out[1]);
  stdin_.Reset(in[1]);
  stdout_.Reset(out[0]);
  std::vector<std::string> copy = argv;
  std::vector<char*> pointers;
  for (std::string& argument : copy) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(child_in.get(), STDIN_FILENO);
  dup2(child_out.get(), STDOUT_FILENO);
  if (prepare && prepare() != 0) _exit(126);
  execvp(pointers[0], pointers.data());
  _exit(127);
}

Background::~Background() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::optional<std::string> Background::ReadLine(std::chrono::milliseconds patience) {
  const cluster::Deadline deadline = After(patience);
  for (;;) {
    if (size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    pollfd entry = {stdout_.get(), POLLIN, 0};
    if (poll(&entry, 1, LeftMs(deadline)) <= 0) return std::nullopt;
    char bytes[4096];
    ssize_t n = read(stdout_.get(), bytes, sizeof(bytes));
    if (n <= 0) return std::nullopt;
    buffer_.append(bytes, static_cast<size_t>(n));
  }
}

std::optional<int> Background::Wait(std::chrono::milliseconds patience) {
  std::optional<cluster::ProcessId> id = cluster::IdentifyProcess(pid_);
  if (id) {
    absl::StatusOr<base::UniqueFd> pidfd = cluster::OpenProcess(*id);
    if (pidfd.ok() && !cluster::AwaitExit({&*pidfd, 1}, After(patience))) return std::nullopt;
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

void Background::Kill(int signal) {
  if (pid_ > 0) kill(pid_, signal);
}

bool Eventually(std::chrono::milliseconds patience, const std::function<bool()>& holds) {
  const cluster::Deadline deadline = After(patience);
  for (;;) {
    if (holds()) return true;
    if (LeftMs(deadline) == 0) return false;
    poll(nullptr, 0, 20);  // what is asked for has no event to wait for
  }
}

std::string Leftovers(const std::string& base) {
  std::string found;
  for (pid_t pid : cluster::ListPids()) {
    const std::string command = absl::StrJoin(cluster::CommandLine(pid), " ");
    if (absl::StrContains(command, base)) absl::StrAppend(&found, "process ", command, "\n");
  }
  for (const std::string& point : cluster::MountPoints(base)) {
    absl::StrAppend(&found, "mount ", point, "\n");
  }
  if (access(base.c_str(), F_OK) == 0) absl::StrAppend(&found, "directory ", base, "\n");
  return found;
}

void ClusterTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  pid_t child = fork();
  if (child == 0) _exit(unshare(kNodeNamespaces | CLONE_NEWPID) == 0 ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) GTEST_SKIP() << "the kernel refuses new namespaces";
  for (const char* tool : {"ip", "nft"}) {
    if (MustRun({tool, "-V"}, "").status != 0) GTEST_SKIP() << "needs " << tool;
  }
}

void RunningClusterTest::SetUp() {
  ClusterTest::SetUp();
  if (IsSkipped()) return;
  ASSERT_SUCCESS(Up());
  ASSERT_TRUE(AwaitAllUp(3));
}

void ClusterTest::TearDown() {
  if (IsSkipped()) return;
  if (HasFailure()) {
    for (int node = 1; node <= 3; ++node) {
      absl::StatusOr<std::string> log = cluster::ReadFile(layout_.Log(node));
      if (!log.ok()) continue;
      const size_t tail = log->size() > 3000 ? log->size() - 3000 : 0;
      std::printf("--- end of the log of node %d\n%s", node, log->c_str() + tail);
    }
  }
  Down();
  EXPECT_EQ(Leftovers(layout_.base()), "");
}

std::string ClusterTest::ClustixProgram() { return Program("clustix"); }

ToolResult ClusterTest::Clustix(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {ClustixProgram()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return MustRun(argv, "");
}

ToolResult ClusterTest::Up(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"up", "--quiet", "--base-dir", layout_.base()});
  return Clustix(arguments);
}

ToolResult ClusterTest::Down() { return Clustix({"down", "--base-dir", layout_.base()}); }

ToolResult ClusterTest::Ask(int node, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--socket", layout_.Socket(node)});
  return Clustix(arguments);
}

nlohmann::json ClusterTest::AskJson(int node, std::vector<std::string> arguments) {
  arguments.push_back("--json");
  ToolResult result = Ask(node, arguments);
  return nlohmann::json::parse(result.status == 0 ? result.output : "", nullptr, false);
}

std::vector<std::string> ClusterTest::ShellArguments(int node,
                                                     const std::vector<std::string>& argv) {
  std::vector<std::string> all = {"shell",  "--base-dir",       layout_.base(),
                                  "--node", absl::StrCat(node), "--"};
  all.insert(all.end(), argv.begin(), argv.end());
  return all;
}

ToolResult ClusterTest::Shell(int node, const std::vector<std::string>& argv) {
  return Clustix(ShellArguments(node, argv));
}

std::function<int()> ClusterTest::EnterNode(int node) { return Enter(node, kNodeNamespaces); }

std::function<int()> ClusterTest::EnterNetworkOf(int node) { return Enter(node, CLONE_NEWNET); }

std::function<int()> ClusterTest::Enter(int node, int namespaces) {
  absl::StatusOr<base::UniqueFd> pidfd = cluster::OpenProcess(NodeInit(node));
  if (!pidfd.ok()) return [] { return ESRCH; };
  auto shared = std::make_shared<base::UniqueFd>(*std::move(pidfd));
  return [shared, namespaces] { return setns(shared->get(), namespaces) == 0 ? 0 : errno; };
}

ToolResult ClusterTest::RunOn(int node, const std::vector<std::string>& argv,
                              const std::string& input) {
  return MustRun(argv, input, EnterNode(node));
}

void ClusterTest::Filter(int node, const std::string& rules) {
  ASSERT_SUCCESS(RunOn(node, {"nft", "-f", "-"}, rules));
}

cluster::ProcessId ClusterTest::NodeInit(int node) {
  std::optional<cluster::NodeProcess> found = cluster::FindNode(cluster::Scan(layout_), node);
  return found ? found->process : cluster::ProcessId{};
}

cluster::ProcessId ClusterTest::Daemon(int node) {
  const std::string directory = layout_.NodeDir(node);
  for (pid_t pid : cluster::ListPids()) {
    std::vector<std::string> argv = cluster::CommandLine(pid);
    if (argv.empty() || !absl::EndsWith(argv[0], "/clustixd")) continue;
    if (std::find(argv.begin(), argv.end(), directory) == argv.end()) continue;
    if (std::optional<cluster::ProcessId> id = cluster::IdentifyProcess(pid)) return *id;
  }
  return {};
}

void ClusterTest::Signal(const cluster::ProcessId& process, int signal) {
  absl::StatusOr<base::UniqueFd> pidfd = cluster::OpenProcess(process);
  ASSERT_TRUE(pidfd.ok()) << pidfd.status();
  ASSERT_TRUE(cluster::SendSignal(*pidfd, signal).ok());
}

bool ClusterTest::AwaitGone(const cluster::ProcessId& process, std::chrono::milliseconds patience) {
  absl::StatusOr<base::UniqueFd> pidfd = cluster::OpenProcess(process);
  return !pidfd.ok() || cluster::AwaitExit({&*pidfd, 1}, After(patience));
}

std::string ClusterTest::PeerState(int node, int peer) {
  nlohmann::json status = AskJson(node, {"status"});
  if (!status.is_object()) return "no answer";
  for (const nlohmann::json& entry : status["peers"]) {
    if (entry["node"] == peer) return entry["state"];
  }
  return "not a peer";
}

bool ClusterTest::AwaitPeerState(int node, int peer, const std::vector<std::string>& states,
                                 std::chrono::milliseconds patience) {
  return Eventually(patience, [&] {
    const std::string state = PeerState(node, peer);
    return std::find(states.begin(), states.end(), state) != states.end();
  });
}

bool ClusterTest::AwaitAllUp(int nodes, std::chrono::milliseconds patience) {
  const cluster::Deadline deadline = After(patience);
  for (int node = 1; node <= nodes; ++node) {
    for (int peer = 1; peer <= nodes; ++peer) {
      if (peer == node) continue;
      if (!AwaitPeerState(node, peer, {"up"}, std::chrono::milliseconds(LeftMs(deadline)))) {
        return false;
      }
    }
  }
  return true;
}

uint64_t ClusterTest::Counter(int node, const std::string& group, const std::string& name) {
  nlohmann::json status = AskJson(node, {"status"});
  if (!status.is_object()) return 0;
  return status[group].value(name, uint64_t{0});
}

std::vector<nlohmann::json> ClusterTest::Processes(int node, const std::string& command_line) {
  std::vector<nlohmann::json> rows;
  nlohmann::json list = AskJson(node, {"ps"});
  if (!list.is_array()) return rows;
  for (const nlohmann::json& row : list) {
    if (command_line.empty() || row.value("cmd", "") == command_line) rows.push_back(row);
  }
  return rows;
}

}  // namespace clustix::netns
