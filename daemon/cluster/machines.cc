// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/machines.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/process.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {
namespace {

// Machines that are switched off in order take a second or two, also on a busy host.
constexpr std::chrono::seconds kMachineTermWait{20};
constexpr std::chrono::seconds kMachineKillWait{10};

// Who listens at the socket; nothing if nobody does.
absl::StatusOr<std::optional<ProcessId>> FindKeeper(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) return std::optional<ProcessId>();
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return std::optional<ProcessId>();
  }
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return base::ErrnoStatus(errno, path);
  }
  if (peer.uid != geteuid() || peer.pid == 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("the virtual machines of ", path,
                     " are another user's, or another container's (run clustix down there)"));
  }
  return IdentifyProcess(peer.pid);
}

// The program that has made the keeper's namespaces waits for its end; nothing if it has gone.
std::optional<ProcessId> FindUnshare(const ProcessId& keeper) {
  absl::StatusOr<std::string> text = ReadFile(absl::StrCat("/proc/", keeper.pid, "/stat"));
  if (!text.ok()) return std::nullopt;
  // "PID (NAME) STATE PARENT ...": the name may have any characters.
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos || name_end + 4 > text->size()) return std::nullopt;
  const pid_t parent = static_cast<pid_t>(std::atoi(text->c_str() + name_end + 4));
  const std::vector<std::string> command = CommandLine(parent);
  if (command.empty() || command[0] != "unshare") return std::nullopt;
  return IdentifyProcess(parent);
}

absl::Status End(const ProcessId& keeper) {
  std::vector<base::UniqueFd> processes;
  for (const std::optional<ProcessId>& id : {std::optional(keeper), FindUnshare(keeper)}) {
    if (!id) continue;
    absl::StatusOr<base::UniqueFd> process = OpenProcess(*id);
    if (absl::IsNotFound(process.status())) continue;
    RETURN_IF_ERROR(process.status());
    processes.push_back(*std::move(process));
  }
  if (processes.empty()) return absl::OkStatus();
  for (const auto& [signal, wait] :
       {std::pair(SIGTERM, kMachineTermWait), std::pair(SIGKILL, kMachineKillWait)}) {
    absl::Status sent = SendSignal(processes[0], signal);
    if (!sent.ok() && !absl::IsNotFound(sent)) return sent;
    if (AwaitExit(processes, After(wait))) return absl::OkStatus();
  }
  return absl::DeadlineExceededError("the virtual machines do not end even when killed");
}

}  // namespace

absl::StatusOr<bool> DownMachines(const Layout& layout) {
  RETURN_IF_ERROR(layout.Check());
  const std::string folder = layout.base() + "-vm";
  struct stat info {};
  if (lstat(folder.c_str(), &info) != 0) return false;
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat(folder, " is not a folder of this user: nothing in it was touched"));
  }
  if (!IsMarked(folder)) return false;  // somebody else's, of that name
  ASSIGN_OR_RETURN(std::optional<ProcessId> keeper, FindKeeper(folder + "/control"));
  if (keeper) RETURN_IF_ERROR(End(*keeper));
  RETURN_IF_ERROR(RemoveTree(folder));
  return true;
}

}  // namespace clustix::cluster
