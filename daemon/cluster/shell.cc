// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/shell.h"

#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/mounts.h"
#include "daemon/cluster/process.h"
#include "daemon/cluster/processors.h"
#include "daemon/cluster/scan.h"
#include "lib/base/status.h"
#include "lib/client/socket_path.h"

namespace clustix::cluster {
namespace {

// Only root can enter the nodes of root's cluster, and only the user who made it those of another.
absl::Status NoCluster(const Layout& layout) {
  const Layout of_root(client::kRootBase);
  for (const Layout& other : {layout, of_root}) {
    if (geteuid() == 0 || !client::IsLive(other.Socket(1))) continue;
    return absl::PermissionDeniedError(
        absl::StrCat("the cluster in ", other.base(),
                     " is another user's, mostly root's (run this as "
                     "that user: sudo clustix shell; clustix ps and nodes work as anybody)"));
  }
  return absl::NotFoundError(
      absl::StrCat("no cluster of yours runs in ", layout.base(), " (clustix up starts one)"));
}

absl::StatusOr<NodeProcess> ChooseNode(const Layout& layout, int node) {
  Findings findings = Scan(layout);
  if (findings.nodes.empty()) return NoCluster(layout);
  if (node == 0) return findings.nodes.front();
  std::optional<NodeProcess> found = FindNode(findings, node);
  if (found) return *found;
  std::vector<int> running;
  for (const NodeProcess& other : findings.nodes) running.push_back(other.node);
  return absl::NotFoundError(
      absl::StrCat("node ", node, " does not run here: ", absl::StrJoin(running, ", "), " do",
                   running.size() == 1 ? "es" : "", " (clustix up starts those that are missing)"));
}

absl::Status EnterNamespaces(const ProcessId& process) {
  ASSIGN_OR_RETURN(base::UniqueFd pidfd, OpenProcess(process));
  char directory[4096];
  const bool known = getcwd(directory, sizeof(directory)) != nullptr;
  if (setns(pidfd.get(), CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) !=
      0) {
    return base::ErrnoStatus(errno, "cannot enter the node's namespaces");
  }
  // A directory that the node does not have is no reason to fail.
  if (!known || chdir(directory) != 0) return absl::OkStatus();
  return absl::OkStatus();
}

// The right to mount, for a user who is not root: within a user namespace in which he is himself.
absl::Status GainMountRight() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER) != 0) {
    return base::ErrnoStatus(errno,
                             "cannot make a user namespace, which a user who is not root needs");
  }
  RETURN_IF_ERROR(WriteProcFile("/proc/self/setgroups", "deny"));
  RETURN_IF_ERROR(WriteProcFile("/proc/self/uid_map", absl::StrCat(uid, " ", uid, " 1")));
  return WriteProcFile("/proc/self/gid_map", absl::StrCat(gid, " ", gid, " 1"));
}

// Where libclustix-kill.so lies, as seen from this program; empty if it does not.
std::string KillLibrary() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path library =
      program.parent_path().parent_path() / CLUSTIX_LIBDIR / "clustix/libclustix-kill.so";
  return !error && std::filesystem::exists(library, error) ? library.string() : "";
}

// `kill_library` lets kill(2) of unmodified programs reach the processes that the view shows.
void SetEnvironment(const Place& place, const std::string& kill_library) {
  setenv("CLUSTIX_SOCKET", place.socket.c_str(), 1);
  if (!kill_library.empty()) {
    const char* before = std::getenv("LD_PRELOAD");
    const bool others = before != nullptr && *before != '\0';
    setenv("LD_PRELOAD",
           others ? absl::StrCat(kill_library, ":", before).c_str() : kill_library.c_str(), 1);
  }
  // The name under which Debian's bash shows that a shell is somewhere else, in its prompt.
  setenv("debian_chroot", absl::StrCat("clustix:", place.name).c_str(), 1);
}

// Whether /proc is a view of a cluster already, and not the kernel's.
bool IsInView() {
  struct statfs info;
  return statfs("/proc", &info) == 0 && info.f_type != PROC_SUPER_MAGIC;
}

absl::Status MakeView(const Place& place) {
  if (MountPoints(place.view.mount).empty()) {
    return absl::UnavailableError(
        absl::StrCat(place.name, " has no view of the cluster's /proc: nothing is mounted at ",
                     place.view.mount));
  }
  if (geteuid() != 0 && IsInView()) {
    return absl::FailedPreconditionError(
        "/proc is a cluster's here already, and only root can open a shell within such a shell "
        "(leave this one first)");
  }
  if (geteuid() != 0) RETURN_IF_ERROR(GainMountRight());
  return CoverProc(place.view);
}

// In the child. Never returns.
[[noreturn]] void RunInView(const Place& place, const std::vector<std::string>& argv) {
  const std::string kill_library = KillLibrary();  // while /proc is that of this process
  if (absl::Status status = MakeView(place); !status.ok()) {
    std::fprintf(stderr, "clustix: %s\n", std::string(base::ToStd(status.message())).c_str());
    _exit(1);
  }
  if (absl::Status status = CoverProcessors(); !status.ok()) {
    std::fprintf(stderr, "clustix: lscpu, mpstat and htop show the processors of %s alone: %s\n",
                 place.name.c_str(), std::string(base::ToStd(status.message())).c_str());
  }
  if (kill_library.empty()) {
    std::fprintf(stderr,
                 "clustix: kill and pkill reach the processes of %s alone: libclustix-kill.so is "
                 "missing (clustix kill reaches all)\n",
                 place.name.c_str());
  }
  SetEnvironment(place, kill_library);
  std::vector<std::string> copy = argv;
  if (copy.empty()) {
    const char* shell = std::getenv("SHELL");
    copy.push_back(shell != nullptr && *shell != '\0' ? shell : "/bin/sh");
    if (isatty(STDIN_FILENO)) {
      std::fprintf(stderr,
                   "A shell on %s. /proc is the cluster's: ps, top, pgrep, free, ... show all "
                   "nodes, and kill reaches them.\nThe node's own /proc is at %s.\nexit leaves.\n",
                   place.name.c_str(), place.view.local_proc.c_str());
    }
  }
  std::vector<char*> pointers;
  for (std::string& argument : copy) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  // As a shell has it: 127 for not found, 126 for found but not run.
  const int code = errno == ENOENT ? 127 : 126;
  std::fprintf(stderr, "clustix: cannot run %s: %s\n", pointers[0], strerror(errno));
  _exit(code);
}

// Waits for the program, and stops and goes on with it, so that a shell's job control works across.
int Follow(pid_t child) {
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WUNTRACED) < 0) {
      if (errno == EINTR) continue;
      return 1;
    }
    if (!WIFSTOPPED(status)) return ExitCode(status);
    raise(SIGSTOP);
    kill(child, SIGCONT);
  }
}

}  // namespace

bool HasNodes(const Layout& layout) {
  // A directory that can be no base has none, and RunShell() says why it cannot.
  return !layout.Check().ok() || !Scan(layout).nodes.empty();
}

absl::StatusOr<int> RunShellAt(const Place& place, const std::vector<std::string>& argv) {
  std::fflush(nullptr);
  pid_t child = fork();  // a pid namespace is entered by children only
  if (child < 0) return base::ErrnoStatus(errno, "cannot fork");
  if (child == 0) RunInView(place, argv);
  // What the terminal's keys ask for is for the program to follow.
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  return Follow(child);
}

absl::StatusOr<int> RunShell(const Layout& layout, const ShellOptions& options) {
  RETURN_IF_ERROR(layout.Check());
  ASSIGN_OR_RETURN(NodeProcess node, ChooseNode(layout, options.node));
  RETURN_IF_ERROR(options.check_daemon(layout, node.node));
  if (node.mode == Mode::kNamespaces) RETURN_IF_ERROR(EnterNamespaces(node.process));
  const Place place{NodeName(node.node),
                    layout.Socket(node.node),
                    {layout.NodeDir(node.node), layout.ProcMount(node.node), layout.LocalProc()}};
  return RunShellAt(place, options.argv);
}

}  // namespace clustix::cluster
