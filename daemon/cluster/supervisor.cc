// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/supervisor.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "daemon/cluster/mounts.h"
#include "lib/base/log.h"
#include "lib/base/status.h"

namespace clustix::cluster {
namespace {

using base::Log;
using base::LogLevel;

constexpr char kComponent[] = "node-init";
// How long the node's processes may take to end by themselves. Less than what `down` waits.
constexpr std::chrono::milliseconds kGrace{3000};
// A log that has grown past this is set aside when clustixd starts, in place of the one before.
constexpr off_t kLogBytes = 1 << 20;
constexpr uid_t kNobody = 65534;

// Waits for a child for as long as there is one; false at the deadline.
bool ReapAll(const base::UniqueFd& signals, Deadline deadline) {
  for (;;) {
    pid_t pid = waitpid(-1, nullptr, WNOHANG);
    if (pid > 0) continue;
    if (pid < 0 && errno == ECHILD) return true;
    pollfd entry = {signals.get(), POLLIN, 0};
    if (poll(&entry, 1, LeftMs(deadline)) == 0) return false;
    signalfd_siginfo info;
    while (read(signals.get(), &info, sizeof(info)) > 0) {
    }
  }
}

}  // namespace

std::chrono::milliseconds Backoff::Next(std::chrono::milliseconds ran) {
  if (ran >= kHealthy) next_ = kFirst;
  return std::exchange(next_, std::min(next_ * 2, kLongest));
}

Supervisor::Supervisor(const NodeOptions& options)
    : options_(options), layout_(options.base), control_(kControlFd) {
  fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  if (options.mode == Mode::kNamespaces) {
    switch_.Reset(kSwitchFd);
    fcntl(kSwitchFd, F_SETFD, FD_CLOEXEC);
  }
}

int Supervisor::Run() {
  if (absl::Status status = Prepare(); !status.ok()) {
    Log(LogLevel::kError, kComponent, "cannot set the node up", {{"error", status}});
    (void)Tell(std::string(base::ToStd(status.message())));
    return 1;
  }
  if (!Tell(kReady).ok() || !AwaitGo()) {
    Log(LogLevel::kWarning, kComponent, "clustix up was interrupted: the node ends");
    return 1;
  }
  StartDaemon();
  if (options_.mode == Mode::kNamespaces) StartCompanions();
  (void)Tell(kStarted);  // whoever asked may be gone: the node runs all the same
  control_.Reset();
  Loop();
  EndNode();
  return 0;
}

absl::Status Supervisor::Prepare() {
  // Blocked before there are children, so that no signal is missed. A pid 1 is deaf to signals that
  // it has no use for.
  sigset_t wanted;
  sigemptyset(&wanted);
  for (int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&wanted, signal);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  signals_.Reset(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return base::ErrnoStatus(errno, "cannot make a signalfd");

  if (options_.mode == Mode::kLoopback) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) == 0) return absl::OkStatus();
    return base::ErrnoStatus(errno, "cannot adopt orphans");
  }
  const std::string name = NodeName(options_.node);
  if (sethostname(name.data(), name.size()) != 0) {
    return base::ErrnoStatus(errno, "cannot set the host name");
  }
  return MakeNodeMounts(layout_, options_.node);
}

absl::Status Supervisor::Tell(const std::string& text) {
  if (send(control_.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "cannot report to clustix up");
}

bool Supervisor::AwaitGo() {
  std::array<pollfd, 2> fds = {pollfd{control_.get(), POLLIN, 0},
                               pollfd{signals_.get(), POLLIN, 0}};
  while (poll(fds.data(), fds.size(), -1) < 0) {
  }
  char buffer[16];
  if (fds[1].revents != 0) return false;  // only `clustix down` can have a reason to signal
  ssize_t n = recv(control_.get(), buffer, sizeof(buffer), 0);
  return n > 0 && std::string(buffer, static_cast<size_t>(n)) == kGo;
}

pid_t Supervisor::Spawn(const std::vector<std::string>& argv, uid_t uid, bool quiet) {
  std::vector<std::string> copy = argv;
  std::vector<char*> pointers;
  for (std::string& argument : copy) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) {
    Log(LogLevel::kError, kComponent, "cannot fork",
        {{"program", argv[0]}, {"error", strerror(errno)}});
    return -1;
  }
  if (child > 0) return child;
  // In loopback mode no kernel namespace takes the children along when this process is killed.
  if (options_.mode == Mode::kLoopback) prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(126);
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // The log is clustixd's and ours; one that reads it must not write to it either.
  if (int null = quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1; null >= 0) {
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
  }
  if (uid != 0) {
    if (setgroups(0, nullptr) != 0 || setgid(uid) != 0 || setuid(uid) != 0) _exit(126);
  }
  execvp(pointers[0], pointers.data());
  Log(LogLevel::kError, kComponent, "cannot run a program",
      {{"program", argv[0]}, {"error", strerror(errno)}});
  _exit(127);
}

// What a clustixd that was killed has left would be in the way of the next one: its socket, its log
// past the bound, and the mount of the view, which answers nobody any more.
void Supervisor::ClearTraces() {
  const std::string view = layout_.ProcMount(options_.node);
  if (geteuid() == 0) {
    absl::Status status = DetachMounts(view);
    if (!status.ok()) Log(LogLevel::kError, kComponent, "stale view", {{"error", status}});
  } else if (!MountPoints(view).empty()) {
    (void)RunTool({"fusermount3", "-u", "-z", view}, "");
  }
  unlink(layout_.Socket(options_.node).c_str());

  const std::string log = layout_.Log(options_.node);
  struct stat info;
  if (stat(log.c_str(), &info) != 0 || info.st_size < kLogBytes) return;
  rename(log.c_str(), absl::StrCat(log, ".1").c_str());
  base::UniqueFd fd(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd.valid()) return;  // goes on into the old file
  dup2(fd.get(), STDOUT_FILENO);
  dup2(fd.get(), STDERR_FILENO);
}

void Supervisor::StartDaemon() {
  restart_at_.reset();
  ClearTraces();
  daemon_ = Spawn({SiblingProgram("clustixd"), "--config", layout_.ConfigFile(), "--node",
                   absl::StrCat(options_.node), "--runtime-dir", layout_.NodeDir(options_.node),
                   "--local-proc", layout_.LocalProc(), "--proc-optional"},
                  0, false);
  daemon_started_ = std::chrono::steady_clock::now();
  if (daemon_ < 0) restart_at_ = After(backoff_.Next(std::chrono::milliseconds(0)));
}

// A machine on which nothing runs would make a dull list: a few processes of different users that
// do a little work.
void Supervisor::StartCompanions() {
  Spawn({"sleep", "infinity"}, kNobody, true);
  Spawn({"tail", "-n", "0", "-F", layout_.Log(options_.node), "--pid=1"}, 0, true);
  Spawn({"sh", "-c",
         absl::StrCat("while sleep 10; do uptime > ", layout_.NodeDir(options_.node),
                      "/uptime; done")},
        0, true);
}

void Supervisor::Reap() {
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != daemon_) continue;
    daemon_ = 0;
    auto ran = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - daemon_started_);
    std::chrono::milliseconds wait = backoff_.Next(ran);
    Log(LogLevel::kWarning, kComponent, "clustixd ended and is started again",
        {{"pid", pid},
         {"how", DescribeExit(status)},
         {"ran_ms", ran.count()},
         {"wait_ms", wait.count()}});
    restart_at_ = After(wait);
  }
}

void Supervisor::Loop() {
  while (!stopping_) {
    pollfd entry = {signals_.get(), POLLIN, 0};
    poll(&entry, 1, restart_at_ ? LeftMs(*restart_at_) : -1);
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) stopping_ = true;
    }
    Reap();
    if (!stopping_ && restart_at_ && LeftMs(*restart_at_) == 0) StartDaemon();
  }
}

void Supervisor::EndNode() {
  Log(LogLevel::kInfo, kComponent, "the node ends");
  const Deadline deadline = After(kGrace);
  if (options_.mode == Mode::kNamespaces) {
    // SIGHUP too, for interactive shells, which SIGTERM does not impress; not for clustixd, whose
    // own way to stop leaves its mount in order. SIGCONT, so that the stopped ones hear of it.
    kill(-1, SIGTERM);
    for (pid_t pid : ListPids()) {
      if (pid != getpid() && pid != daemon_) kill(pid, SIGHUP);
    }
    kill(-1, SIGCONT);
  } else if (daemon_ > 0) {
    kill(daemon_, SIGTERM);
    kill(daemon_, SIGCONT);
  }
  if (ReapAll(signals_, deadline)) return;
  Log(LogLevel::kWarning, kComponent, "some processes do not end and are killed");
  // In namespaces mode the kernel does it when this process exits.
  if (options_.mode == Mode::kLoopback && daemon_ > 0) {
    kill(daemon_, SIGKILL);
    ReapAll(signals_, After(kGrace));
  }
}

}  // namespace clustix::cluster
