// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/own_world.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "daemon/cluster/process.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {
namespace {

// What the pipe begins with: a text or the message of a failure follows.
constexpr char kText = 't', kFailure = 'f';

absl::Status Enter() {
  if (unshare(CLONE_NEWNS | CLONE_NEWIPC) != 0) {
    return base::ErrnoStatus(errno, "cannot make namespaces");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return base::ErrnoStatus(errno, "cannot mount a /proc");
  }
  if (mount("clustix", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0) {
    return base::ErrnoStatus(errno, "cannot mount an empty /run");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> EnterAndRun(const std::function<absl::StatusOr<std::string>()>& work) {
  RETURN_IF_ERROR(Enter());
  return work();
}

// In the child. Never returns.
[[noreturn]] void RunWork(int out, const std::function<absl::StatusOr<std::string>()>& work) {
  const absl::StatusOr<std::string> result = EnterAndRun(work);
  std::string text(1, result.ok() ? kText : kFailure);
  text.append(result.ok() ? *result : std::string(base::ToStd(result.status().message())));
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = write(out, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(1);
    written += static_cast<size_t>(n);
  }
  _exit(0);
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace

absl::StatusOr<std::string> RunInOwnWorld(
    const std::function<absl::StatusOr<std::string>()>& work) {
  if (geteuid() != 0) return absl::PermissionDeniedError("namespaces are for root (use sudo)");
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "cannot make a pipe");
  base::UniqueFd in(fds[0]), out(fds[1]);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  // Of the next child, not of this process.
  if (unshare(CLONE_NEWPID) != 0) return base::ErrnoStatus(errno, "cannot make a PID namespace");
  const pid_t child = fork();
  if (child < 0) return base::ErrnoStatus(errno, "cannot fork");
  if (child == 0) {
    // As the namespace's first process it ignores Ctrl-C, but goes with the parent that does not.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != 0 && getppid() != parent) _exit(1);
    in.Reset();
    RunWork(out.get(), work);
  }
  out.Reset();
  std::string text = ReadAll(in.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (text.empty()) {
    return absl::UnavailableError(absl::StrCat("the run ", cluster::DescribeExit(status)));
  }
  const bool failed = text.front() == kFailure;
  text.erase(0, 1);
  if (failed) return absl::UnavailableError(text);
  return text;
}

}  // namespace clustix::bench
