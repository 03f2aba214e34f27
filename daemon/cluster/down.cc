// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/down.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/mounts.h"
#include "daemon/cluster/process.h"
#include "daemon/cluster/state.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {
namespace {

// More than a node's first process gives its processes.
constexpr std::chrono::seconds kTermWait{6};
// After SIGKILL only the kernel is at work.
constexpr std::chrono::seconds kKillWait{10};

// Ends all of them; returns how many had to be killed.
absl::StatusOr<int> EndProcesses(const Findings& findings) {
  std::vector<base::UniqueFd> pidfds;
  auto open = [&pidfds](const ProcessId& id) -> absl::Status {
    absl::StatusOr<base::UniqueFd> fd = OpenProcess(id);
    if (absl::IsNotFound(fd.status())) return absl::OkStatus();
    RETURN_IF_ERROR(fd.status());
    pidfds.push_back(*std::move(fd));
    return absl::OkStatus();
  };
  for (const NodeProcess& node : findings.nodes) RETURN_IF_ERROR(open(node.process));
  for (const ProcessId& daemon : findings.daemons) RETURN_IF_ERROR(open(daemon));

  auto signal_all = [&pidfds](int signal) -> absl::StatusOr<int> {
    int reached = 0;
    for (const base::UniqueFd& fd : pidfds) {
      absl::Status status = SendSignal(fd, signal);
      if (status.ok()) ++reached;
      if (!status.ok() && !absl::IsNotFound(status)) return status;
    }
    return reached;
  };
  RETURN_IF_ERROR(signal_all(SIGTERM).status());
  // One that was stopped with SIGSTOP hears SIGTERM only when it goes on.
  RETURN_IF_ERROR(signal_all(SIGCONT).status());
  if (AwaitExit(pidfds, After(kTermWait))) return 0;
  ASSIGN_OR_RETURN(int killed, signal_all(SIGKILL));
  if (!AwaitExit(pidfds, After(kKillWait))) {
    return absl::DeadlineExceededError("some processes of the cluster do not end even when killed");
  }
  return killed;
}

absl::Status RemoveMounts(const Layout& layout) {
  if (geteuid() == 0) return DetachMounts(layout.base());
  for (const std::string& point : MountPoints(layout.base())) {
    ASSIGN_OR_RETURN(ToolResult result, RunTool({"fusermount3", "-u", "-z", point}, ""));
    if (result.status != 0) {
      return absl::InternalError(absl::StrCat("cannot unmount ", point, ": ", result.errors));
    }
  }
  return absl::OkStatus();
}

// A clustixd that was started by hand has its socket in the base directory itself: what is there is
// its own, and going away under it would leave it running without a socket or a view.
absl::Status RefuseIfServed(const Layout& layout) {
  const std::string path = layout.base() + "/clustixd.sock";
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
      errno != EAGAIN) {
    return absl::OkStatus();  // nobody listens
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "a clustixd that was not started by `clustix up` serves ", layout.base(),
      ": nothing was touched (stop that daemon first, or choose another place with --base-dir)"));
}

}  // namespace

absl::StatusOr<DownResult> DownLocked(const Layout& layout) {
  DownResult result;
  RETURN_IF_ERROR(RefuseIfServed(layout));
  // Again until nothing is found: a clustixd may have been started while the first were ending.
  for (Findings findings = Scan(layout); !findings.nodes.empty() || !findings.daemons.empty();
       findings = Scan(layout)) {
    ASSIGN_OR_RETURN(int killed, EndProcesses(findings));
    result.nodes += static_cast<int>(findings.nodes.size());
    result.killed += killed;
  }
  const std::vector<std::string> mounts = MountPoints(layout.base());
  RETURN_IF_ERROR(RemoveMounts(layout));
  std::error_code error;
  bool files = false;
  for (const auto& entry : std::filesystem::directory_iterator(layout.base(), error)) {
    if (entry.path().filename() == kLockName || entry.path().filename() == kMarkName) continue;
    files = true;
    RETURN_IF_ERROR(entry.is_directory(error) && !entry.is_symlink(error)
                        ? RemoveTree(entry.path())
                        : RemoveFile(entry.path()));
  }
  result.leftovers = result.nodes == 0 && (files || !mounts.empty());
  return result;
}

absl::StatusOr<DownResult> Down(const Layout& layout) {
  RETURN_IF_ERROR(layout.Check());
  RETURN_IF_ERROR(RefuseIfServed(layout));
  ASSIGN_OR_RETURN(BaseLock lock, BaseLock::Take(layout, After(BaseLock::kWait)));
  ASSIGN_OR_RETURN(DownResult result, DownLocked(layout));
  // The lock file last, and under the lock: who waits for it notices that it is gone.
  RETURN_IF_ERROR(RemoveTree(layout.base()));
  return result;
}

}  // namespace clustix::cluster
