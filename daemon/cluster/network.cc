// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/network.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/node.h"
#include "daemon/cluster/process.h"
#include "lib/base/status.h"

namespace clustix::cluster {
namespace {

// Runs a batch of iproute2 commands in a network namespace.
absl::Status RunIp(const base::UniqueFd& network, const std::string& batch, const char* what,
                   bool force = false) {
  std::vector<std::string> argv = {"ip"};
  if (force) argv.push_back("-force");  // go on after a command that fails
  argv.insert(argv.end(), {"-batch", "-"});
  int fd = network.get();
  ASSIGN_OR_RETURN(ToolResult result,
                   RunTool(argv, batch, [fd] { return setns(fd, CLONE_NEWNET) == 0 ? 0 : errno; }));
  if (result.status == 0 || force) return absl::OkStatus();
  if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 127) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot ", what, ": ", result.errors, " (install iproute2)"));
  }
  return absl::InternalError(absl::StrCat("cannot ", what, ": ip ", DescribeExit(result.status),
                                          ": ", absl::StripTrailingAsciiWhitespace(result.errors)));
}

absl::StatusOr<base::UniqueFd> OpenNamespace(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  return fd;
}

absl::StatusOr<base::UniqueFd> OpenNetwork(pid_t pid) {
  return OpenNamespace(absl::StrCat("/proc/", pid, "/ns/net"));
}

}  // namespace

absl::StatusOr<base::UniqueFd> OpenSwitch(pid_t pid) {
  return OpenNamespace(absl::StrCat("/proc/", pid, "/fd/", kSwitchFd));
}

absl::StatusOr<base::UniqueFd> MakeSwitch() {
  ASSIGN_OR_RETURN(base::UniqueFd own, OpenNetwork(getpid()));
  if (unshare(CLONE_NEWNET) != 0) {
    return base::ErrnoStatus(errno, "cannot make a network namespace");
  }
  absl::StatusOr<base::UniqueFd> fresh = OpenNetwork(getpid());
  if (setns(own.get(), CLONE_NEWNET) != 0) {
    return base::ErrnoStatus(errno, "cannot return to the host's network namespace");
  }
  RETURN_IF_ERROR(fresh.status());
  // forward_delay 0: a port forwards at once; nothing can form a loop here.
  RETURN_IF_ERROR(RunIp(*fresh,
                        "link set lo up\n"
                        "link add bridge type bridge forward_delay 0\n"
                        "link set bridge up\n",
                        "make the bridge"));
  return fresh;
}

absl::Status PlugIn(const base::UniqueFd& network_switch, int node, pid_t pid) {
  const std::string name = NodeName(node);
  const std::string address = absl::StrCat(NodeIp(Mode::kNamespaces, node), "/24");
  // The kernel removes the link of a dead node some time after the node; do not wait for it.
  RETURN_IF_ERROR(RunIp(network_switch, absl::StrCat("link del ", name, "\n"), "", true));
  RETURN_IF_ERROR(RunIp(network_switch,
                        absl::StrCat("link add name ", name, " type veth peer name eth0 netns ",
                                     pid, "\n", "link set ", name, " master bridge up\n"),
                        "plug the node into the bridge"));
  ASSIGN_OR_RETURN(base::UniqueFd network, OpenNetwork(pid));
  return RunIp(
      network,
      absl::StrCat("link set lo up\n", "addr add ", address, " dev eth0\n", "link set eth0 up\n"),
      "set the node's address");
}

}  // namespace clustix::cluster
