// SPDX-License-Identifier: Apache-2.0
//
// `clustix up`: a cluster of several nodes on this machine, and the first look at it.
#include "daemon/cluster/up.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/cluster/process.h"
#include "daemon/command/command.h"
#include "daemon/init_cluster.h"
#include "lib/base/status.h"
#include "lib/client/client.h"

namespace clustix::command {
namespace {

constexpr std::chrono::seconds kPatience{15};

struct UpArguments {
  std::string base = cluster::DefaultBaseDir();
  cluster::UpOptions options;
  bool quiet = false;
};

absl::Status WriteConfig(const cluster::Layout& layout,
                         const std::vector<cluster::NodeAddress>& nodes) {
  daemon::InitOptions options;
  options.directory = layout.ConfigDir();
  options.cluster_name = "demo";
  options.force = true;
  for (const cluster::NodeAddress& node : nodes) {
    options.nodes.push_back(
        {.id = static_cast<NodeId>(node.node), .name = node.name, .address = node.address});
  }
  return daemon::InitCluster(options).status();
}

absl::StatusOr<int> NodesUp(const std::string& socket, std::chrono::milliseconds patience) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(client::Client daemon, client::Client::Await(socket, patience));
  RETURN_IF_ERROR(daemon.GetStatus().status());  // one that is stopped is not worth the patience
  const auto used = std::chrono::steady_clock::now() - start;
  ASSIGN_OR_RETURN(
      client::Status status,
      daemon.AwaitPeers(std::chrono::ceil<std::chrono::milliseconds>(patience - used)));
  int up = 1;
  for (const client::PeerStatus& peer : status.peers) up += peer.state == "up";
  return up;
}

void Progress(const std::string& line) { std::fprintf(stderr, "clustix: %s\n", line.c_str()); }

// The list is what the command is for, so that it is shown by the command that shows it.
void ShowProcesses(const cluster::Layout& layout) {
  absl::StatusOr<cluster::ToolResult> shown =
      cluster::RunTool({cluster::OwnProgram(), "--socket", layout.Socket(1), "ps", "-ef"}, "");
  if (!shown.ok() || shown->status != 0) {
    Progress("clustix ps did not work: " +
             (shown.ok() ? shown->errors : shown.status().ToString()));
    return;
  }
  std::printf("%s", shown->output.c_str());
}

// What to type to run this very program: its name, if PATH leads to it, else its path.
std::string HowToCall() {
  const char* path = std::getenv("PATH");
  const std::string own = cluster::OwnProgram();
  for (absl::string_view folder : absl::StrSplit(path != nullptr ? path : "", ':')) {
    std::error_code error;
    if (std::filesystem::equivalent(absl::StrCat(folder, "/clustix"), own, error)) return "clustix";
  }
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string() + "/";
  return !error && own.starts_with(here) ? own.substr(here.size()) : own;
}

void ShowHints(const cluster::Layout& layout, int nodes) {
  const bool is_default = layout.base() == cluster::DefaultBaseDir();
  const std::string name = HowToCall();
  const std::string asking = is_default ? name : absl::StrCat(name, " --socket ", layout.Socket(1));
  const std::string where = is_default ? "" : absl::StrCat(" --base-dir ", layout.base());
  const int other = std::min(nodes, 2);
  const std::vector<std::pair<std::string, const char*>> hints = {
      {absl::StrCat(asking, " nodes"), "the nodes, and how they see each other"},
      {absl::StrCat(asking, " ps --node ", other), "the processes of one node"},
      {absl::StrCat(name, " shell", where), "a shell in which ps, top, free, ... show all nodes"},
      {absl::StrCat(name, " shell", where, " --node ", other, " -- sleep 4242 &"),
       "a process more for the list"},
      {absl::StrCat(name, " down", where), "end it, without a trace"},
  };
  size_t width = 0;
  for (const auto& [what, why] : hints) width = std::max(width, what.size());
  std::printf("\nTry next:\n");
  for (const auto& [what, why] : hints) {
    std::printf("  %-*s   # %s\n", static_cast<int>(width), what.c_str(), why);
  }
}

void ShowStart(const cluster::UpResult& result) {
  const char* plural = result.nodes == 1 ? "" : "s";
  if (result.started == 0) {
    std::printf("already running, %d node%s\n", result.nodes, plural);
  } else if (result.mode == cluster::Mode::kNamespaces) {
    std::printf("%d node%s, each in namespaces of its own\n", result.nodes, plural);
  } else {
    std::printf(
        "%d node%s on 127.0.0.2 and following, without namespaces: all see the processes "
        "of this machine%s%s\n",
        result.nodes, plural, result.why_loopback.empty() ? "" : "\n  because ",
        result.why_loopback.c_str());
  }
}

// Which transport runs, whether the kernel module could, and where the cluster's /proc is: the
// daemon knows.
absl::Status ShowMachine(const cluster::Layout& layout) {
  ASSIGN_OR_RETURN(client::Client daemon, client::Client::Connect(layout.Socket(1)));
  ASSIGN_OR_RETURN(client::Status status, daemon.GetStatus());
  std::printf("messages travel by the %s transport: %s\n", status.transport_name.c_str(),
              status.transport_reason.c_str());
  if (status.proc_mount.empty()) {
    std::printf(
        "the cluster's /proc is not mounted, so that clustix shell cannot work: %s (see %s)\n",
        status.proc_note.c_str(), layout.Log(1).c_str());
  }
  return absl::OkStatus();
}

int RunUp(const UpArguments& arguments) {
  const cluster::Layout layout(arguments.base);
  const cluster::UpHooks hooks = {
      .write_config = WriteConfig, .nodes_up = NodesUp, .progress = Progress};
  absl::StatusOr<cluster::UpResult> result = cluster::Up(layout, arguments.options, hooks);
  if (!result.ok()) return Fail(result.status());
  absl::Status whole = cluster::AwaitWhole(layout, result->nodes, hooks, kPatience);
  if (!whole.ok()) return Fail(whole);
  ShowStart(*result);
  if (absl::Status shown = ShowMachine(layout); !shown.ok()) return Fail(shown);
  if (arguments.quiet) return kExitOk;
  std::printf("\n");
  std::fflush(stdout);
  ShowProcesses(layout);
  ShowHints(layout, result->nodes);
  return kExitOk;
}

}  // namespace

void AddUpCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<UpArguments>();
  CLI::App* command = app.add_subcommand(
      "up", "Start a cluster of several nodes on this machine, or complete one that runs");
  command->add_option("--nodes", arguments->options.nodes, "How many nodes (default: 3)")
      ->type_name("N")
      ->check(CLI::Range(1, cluster::kMaxNodes));
  command->add_flag("--loopback", arguments->options.loopback,
                    "Plain processes on 127.0.0.2 and following instead of namespaces; the only "
                    "way without root");
  command->add_flag("--same-build", arguments->options.same_build,
                    "Restart a cluster that another build of clustix runs");
  command->add_flag("--quiet", arguments->quiet, "Do not show the processes and what to try next");
  command
      ->add_option("--base-dir", arguments->base,
                   "Where the cluster keeps its sockets, mounts and logs: a directory of its own, "
                   "which down removes. Clusters with different ones live side by side")
      ->type_name("DIR")
      ->capture_default_str();
  command->callback(
      [arguments, &context] { context.run = [arguments] { return RunUp(*arguments); }; });
}

}  // namespace clustix::command
