// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/scan.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/cluster/node.h"
#include "daemon/cluster/state.h"
#include "lib/base/status.h"

namespace clustix::cluster {
namespace {

bool IsDaemon(const Layout& layout, const std::vector<std::string>& argv) {
  if (argv.empty() || !(argv[0] == "clustixd" || absl::EndsWith(argv[0], "/clustixd"))) {
    return false;
  }
  auto config = std::find(argv.begin(), argv.end(), "--config");
  return config != argv.end() && ++config != argv.end() && *config == layout.ConfigFile();
}

// The socket to `up` is open until the node runs on its own.
bool IsStarting(pid_t pid) {
  char target[64];
  const std::string path = absl::StrCat("/proc/", pid, "/fd/", kControlFd);
  ssize_t length = readlink(path.c_str(), target, sizeof(target));
  return length > 0 && base::ToAbsl({target, static_cast<size_t>(length)}).find("socket:") == 0;
}

// The state file's word counts where a process of that very start time still runs.
void AddNamed(const Layout& layout, Findings* findings) {
  absl::StatusOr<State> state = LoadState(layout);
  if (!state.ok()) return;
  for (const auto& [node, process] : state->nodes) {
    bool known = false;
    for (const NodeProcess& found : findings->nodes) known = known || found.process == process;
    if (known || IdentifyProcess(process.pid) != process) continue;
    findings->nodes.push_back({.node = node, .mode = state->mode, .process = process});
  }
}

}  // namespace

Findings Scan(const Layout& layout) {
  Findings findings;
  for (pid_t pid : ListPids()) {
    std::vector<std::string> argv = CommandLine(pid);
    if (argv.empty()) continue;
    std::optional<NodeOptions> options = ParseNodeInitArguments(argv);
    bool first = options && options->base == layout.base();
    if (!first && !IsDaemon(layout, argv)) continue;
    // The start time is read first: if the pid is reused while the rest is looked at, opening the
    // process by this id fails later.
    std::optional<ProcessId> id = IdentifyProcess(pid);
    std::vector<pid_t> pids = NamespacePids(pid);
    if (!id || pids.empty() || RealUid(pid) != getuid()) continue;
    findings.programs.insert(ProgramOf(pid));
    if (!first) {
      // One in a pid namespace has a pid 1 above it, and goes with it.
      if (pids.size() == 1) findings.daemons.push_back(*id);
      continue;
    }
    bool own_namespace = pids.size() > 1 && pids.back() == 1;
    if (own_namespace != (options->mode == Mode::kNamespaces)) continue;
    findings.nodes.push_back({.node = options->node,
                              .mode = options->mode,
                              .process = *id,
                              .starting = IsStarting(pid)});
  }
  AddNamed(layout, &findings);
  std::sort(findings.nodes.begin(), findings.nodes.end(),
            [](const NodeProcess& a, const NodeProcess& b) { return a.node < b.node; });
  return findings;
}

std::optional<NodeProcess> FindNode(const Findings& findings, int node) {
  for (const NodeProcess& found : findings.nodes) {
    if (found.node == node) return found;
  }
  return std::nullopt;
}

}  // namespace clustix::cluster
