// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/up.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/cluster/down.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/mounts.h"
#include "daemon/cluster/network.h"
#include "daemon/cluster/node.h"
#include "daemon/cluster/process.h"
#include "daemon/cluster/scan.h"
#include "daemon/cluster/state.h"
#include "lib/base/status.h"

namespace clustix::cluster {
namespace {

constexpr std::chrono::seconds kNodeStart{10};

constexpr int kNamespaces = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;

// Empty if this process may make the namespaces of a node, else what is missing.
std::string WhyNoNamespaces() {
  if (geteuid() != 0) return "namespaces need root";
  pid_t child = fork();
  if (child == 0) _exit(unshare(kNamespaces) == 0 ? 0 : errno);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0) return strerror(errno);
  if (status == 0) return "";
  return absl::StrCat("the kernel refuses new namespaces: ", strerror(WEXITSTATUS(status)),
                      " (a container needs CAP_SYS_ADMIN)");
}

bool CanBind(const std::string& ip, uint16_t port) {
  base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  int on = 1;  // as the daemon does: connections that have ended are no obstacle
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  return bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

// In loopback mode clusters share the addresses and must differ in the port.
absl::StatusOr<uint16_t> ChoosePort(Mode mode, int nodes) {
  if (mode == Mode::kNamespaces) return kDefaultPort;
  constexpr uint16_t kPorts = 100;
  for (uint16_t port = kDefaultPort; port < kDefaultPort + kPorts; ++port) {
    bool free = true;
    for (int node = 1; node <= nodes && free; ++node) free = CanBind(NodeIp(mode, node), port);
    if (free) return port;
  }
  return absl::UnavailableError(absl::StrCat("no port from ", kDefaultPort, " to ",
                                             kDefaultPort + kPorts - 1,
                                             " is free on 127.0.0.2 and following"));
}

absl::Status WriteConfig(const Layout& layout, Mode mode, int nodes, const UpHooks& hooks) {
  ASSIGN_OR_RETURN(uint16_t port, ChoosePort(mode, nodes));
  std::vector<NodeAddress> addresses;
  for (int node = 1; node <= nodes; ++node) {
    addresses.push_back({.node = node,
                         .name = NodeName(node),
                         .address = absl::StrCat(NodeIp(mode, node), ":", port)});
  }
  RETURN_IF_ERROR(MakeDirectory(layout.ConfigDir(), 0755));
  RETURN_IF_ERROR(MakeDirectory(layout.LocalProc(), 0755));
  return hooks.write_config(layout, addresses);
}

// A new switch, or the one that the nodes which still run are plugged into.
absl::StatusOr<base::UniqueFd> FindOrMakeSwitch(const Findings& findings) {
  if (findings.nodes.empty()) return MakeSwitch();
  return OpenSwitch(findings.nodes.front().process.pid);
}

absl::StatusOr<StartingNode> Begin(const Layout& layout, Mode mode, int node,
                                   const base::UniqueFd& network_switch) {
  RETURN_IF_ERROR(MakeDirectory(layout.NodeDir(node), 0755));
  if (geteuid() == 0) {
    // What a dead node has left mounted answers nobody.
    RETURN_IF_ERROR(DetachMounts(layout.NodeDir(node)));
    RETURN_IF_ERROR(MakeDirectory(layout.ProcMount(node), 0755));
    RETURN_IF_ERROR(ShareNodeDir(layout, node));
  } else {
    RETURN_IF_ERROR(MakeDirectory(layout.ProcMount(node), 0755));
  }
  ASSIGN_OR_RETURN(StartingNode starting, StartingNode::Start(layout, mode, node, network_switch));
  if (mode == Mode::kNamespaces) {
    RETURN_IF_ERROR(
        base::WithContext(PlugIn(network_switch, node, starting.process().pid), NodeName(node)));
  }
  return starting;
}

// Starts the nodes named, all or none: until the last line each of them ends itself when this
// process does.
absl::Status StartNodes(const Layout& layout, State state, const std::vector<int>& missing,
                        const Findings& findings) {
  base::UniqueFd network_switch;
  if (state.mode == Mode::kNamespaces) {
    ASSIGN_OR_RETURN(network_switch, FindOrMakeSwitch(findings));
  }
  std::vector<StartingNode> starting;
  for (int node : missing) {
    ASSIGN_OR_RETURN(StartingNode started, Begin(layout, state.mode, node, network_switch));
    state.nodes[node] = started.process();
    starting.push_back(std::move(started));
  }
  const Deadline deadline = After(kNodeStart);
  for (StartingNode& node : starting) RETURN_IF_ERROR(node.Await(kReady, deadline));
  RETURN_IF_ERROR(SaveState(layout, state));
  for (StartingNode& node : starting) RETURN_IF_ERROR(node.Go());
  for (StartingNode& node : starting) RETURN_IF_ERROR(node.Await(kStarted, deadline));
  for (StartingNode& node : starting) RETURN_IF_ERROR(node.AwaitDetached(deadline));
  return absl::OkStatus();
}

// What runs, once the nodes of an `up` that was killed have ended themselves: this process holds
// the lock, so that nobody is left to say "go" to one that still waits for it.
absl::StatusOr<Findings> ScanSettled(const Layout& layout) {
  Findings findings = Scan(layout);
  const Deadline deadline = After(kNodeStart);
  for (const NodeProcess& node : findings.nodes) {
    if (!node.starting) continue;
    absl::StatusOr<base::UniqueFd> pidfd = OpenProcess(node.process);
    if (pidfd.ok() && !AwaitExit({&*pidfd, 1}, deadline)) {
      return absl::DeadlineExceededError(absl::StrCat("process ", node.process.pid,
                                                      ", left by an interrupted up, does not end ",
                                                      "(clustix down ends it)"));
    }
  }
  return Scan(layout);
}

// The shape of the cluster that runs: the state file's, or what can be seen if that is lost.
State RunningState(const Layout& layout, const Findings& findings) {
  absl::StatusOr<State> saved = LoadState(layout);
  State state = saved.ok() ? *saved : State{};
  for (const NodeProcess& node : findings.nodes) {
    state.mode = node.mode;
    state.nodes[node.node] = node.process;
  }
  return state;
}

absl::Status CheckShape(const Layout& layout, const State& state, const UpOptions& options) {
  const int nodes = static_cast<int>(state.nodes.size());
  if (options.nodes != 0 && options.nodes != nodes) {
    return absl::FailedPreconditionError(absl::StrCat("a cluster of ", nodes,
                                                      " nodes runs already, not of ", options.nodes,
                                                      " (clustix down ends it, then try again)"));
  }
  if (options.loopback && state.mode != Mode::kLoopback) {
    return absl::FailedPreconditionError(
        "a cluster in namespaces runs already (clustix down ends it, then try again)");
  }
  if (access(layout.ConfigFile().c_str(), R_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("a cluster runs already, but ", layout.ConfigFile(),
                     " is gone (clustix down ends it, then try again)"));
  }
  return absl::OkStatus();
}

// A program of the cluster that is not this build's; empty if there is none.
std::string OtherBuild(const Findings& findings) {
  const std::string own = OwnProgram(), daemon = SiblingProgram("clustixd");
  for (const std::string& program : findings.programs) {
    if (!program.empty() && program != own && program != daemon) return program;
  }
  return "";
}

std::vector<int> MissingNodes(const State& state, const Findings& findings) {
  std::vector<int> missing;
  for (const auto& [node, process] : state.nodes) {
    if (!FindNode(findings, node)) missing.push_back(node);
  }
  return missing;
}

std::string Nodes(int count) { return absl::StrCat(count, count == 1 ? " node" : " nodes"); }

// How many nodes one node sees as up, once these are all or `deadline` has come. A daemon that dies
// meanwhile is started anew by its node.
absl::StatusOr<int> AwaitNodesUp(const std::string& socket, const UpHooks& hooks,
                                 Deadline deadline) {
  for (;;) {
    absl::StatusOr<int> up = hooks.nodes_up(socket, std::chrono::milliseconds(LeftMs(deadline)));
    if (!absl::IsUnavailable(up.status()) || LeftMs(deadline) == 0) return up;
  }
}

}  // namespace

absl::StatusOr<UpResult> Up(const Layout& layout, const UpOptions& options, const UpHooks& hooks) {
  RETURN_IF_ERROR(layout.Check());
  ASSIGN_OR_RETURN(BaseLock lock, BaseLock::Take(layout, After(BaseLock::kWait)));
  ASSIGN_OR_RETURN(Findings findings, ScanSettled(layout));
  if (const std::string other = OtherBuild(findings); options.same_build && !other.empty()) {
    hooks.progress(absl::StrCat("restarting a cluster of another build: ", other));
    RETURN_IF_ERROR(DownLocked(layout).status());
    findings = {};
  }
  UpResult result;
  State state;
  if (!findings.nodes.empty()) {
    state = RunningState(layout, findings);
    RETURN_IF_ERROR(CheckShape(layout, state, options));
    result.mode = state.mode;
  } else {
    // Whatever a crash has left would only be in the way.
    RETURN_IF_ERROR(DownLocked(layout).status());
    result.why_loopback = options.loopback ? "asked for by --loopback" : WhyNoNamespaces();
    result.mode = result.why_loopback.empty() ? Mode::kNamespaces : Mode::kLoopback;
    const int wanted = options.nodes != 0 ? options.nodes : kDefaultNodes;
    state.mode = result.mode;
    for (int node = 1; node <= wanted; ++node) state.nodes[node] = {};
    RETURN_IF_ERROR(WriteConfig(layout, result.mode, wanted, hooks));
  }
  result.nodes = static_cast<int>(state.nodes.size());
  const std::vector<int> missing = MissingNodes(state, findings);
  result.started = static_cast<int>(missing.size());
  if (missing.empty()) return result;
  if (result.started < result.nodes) {
    hooks.progress(absl::StrCat("starting what is missing: node ", absl::StrJoin(missing, ", ")));
  } else {
    hooks.progress(absl::StrCat("starting ", Nodes(result.nodes)));
  }
  RETURN_IF_ERROR(StartNodes(layout, state, missing, findings));
  return result;
}

absl::Status AwaitWhole(const Layout& layout, int nodes, const UpHooks& hooks,
                        std::chrono::milliseconds patience) {
  const Deadline deadline = After(patience);
  for (int node = 1; node <= nodes; ++node) {
    absl::StatusOr<int> up = AwaitNodesUp(layout.Socket(node), hooks, deadline);
    if (up.ok() && *up == nodes) continue;
    const std::string why = up.ok() ? absl::StrCat("sees ", *up, " of ", Nodes(nodes), " after ",
                                                   patience.count() / 1000, " s")
                                    : std::string(base::ToStd(up.status().message()));
    return absl::DeadlineExceededError(
        absl::StrCat("the nodes do not all see each other: ", NodeName(node), ": ", why, " (see ",
                     layout.Log(node), ")"));
  }
  return absl::OkStatus();
}

}  // namespace clustix::cluster
