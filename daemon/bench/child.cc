// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
extern "C" {  // which glibc 2.36 forgot
#include <sys/pidfd.h>
}

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using base::UniqueFd;

// Of what it writes to stderr, the last.
constexpr size_t kErrorsKept = 2048;

absl::Status MakePipe(UniqueFd& read_end, UniqueFd& write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "cannot make a pipe");
  read_end.Reset(fds[0]);
  write_end.Reset(fds[1]);
  return absl::OkStatus();
}

[[noreturn]] void RunChild(std::vector<char*>& argv, const ChildOptions& options, pid_t parent,
                           int in, int out, int err) {
  // What interrupts this program at a terminal is not for its children: it takes them down itself.
  setpgid(0, 0);
  if (options.dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (options.core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(static_cast<size_t>(*options.core), &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) != 0) {
      dprintf(STDERR_FILENO, "cannot run on core %d: %s", *options.core, strerror(errno));
      _exit(127);
    }
  }
  execv(argv[0], argv.data());
  dprintf(STDERR_FILENO, "cannot run %s: %s", argv[0], strerror(errno));
  _exit(127);
}

// Takes what is there; closes it at its end.
void Drain(UniqueFd& fd, std::string& to) {
  char buffer[65536];
  const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
  if (count > 0) to.append(buffer, static_cast<size_t>(count));
  if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) fd.Reset();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Child>> Child::Start(const std::vector<std::string>& argv,
                                                    const ChildOptions& options) {
  UniqueFd in, out, err;
  std::unique_ptr<Child> child(new Child);
  RETURN_IF_ERROR(MakePipe(in, child->in_));
  RETURN_IF_ERROR(MakePipe(child->out_, out));
  RETURN_IF_ERROR(MakePipe(child->err_, err));
  child->interrupt_fd_ = options.interrupt_fd;
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  child->pid_ = fork();
  if (child->pid_ < 0) return base::ErrnoStatus(errno, "cannot fork");
  if (child->pid_ == 0) RunChild(arguments, options, parent, in.get(), out.get(), err.get());
  child->pidfd_.Reset(pidfd_open(child->pid_, 0));
  if (!child->pidfd_.valid()) return base::ErrnoStatus(errno, "cannot watch a child");
  return child;
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::Status Child::Await(Deadline deadline, int interrupt_fd) {
  pollfd fds[] = {{out_.get(), POLLIN, 0},
                  {err_.get(), POLLIN, 0},
                  {pidfd_.get(), POLLIN, 0},
                  {interrupt_fd, POLLIN, 0}};
  const int ready = poll(fds, std::size(fds), cluster::LeftMs(deadline));
  if (ready < 0 && errno != EINTR) return base::ErrnoStatus(errno, "poll");
  if (ready == 0) return absl::DeadlineExceededError("it did not answer in time");
  if (ready < 0) return absl::OkStatus();
  if (fds[3].revents != 0) return absl::CancelledError("interrupted");
  if (fds[0].revents != 0) Drain(out_, output_);
  if (fds[1].revents != 0) {
    Drain(err_, errors_);
    if (errors_.size() > kErrorsKept) errors_.erase(0, errors_.size() - kErrorsKept);
  }
  // What it has written before it ended is read first.
  if (fds[2].revents != 0 && fds[0].revents == 0 && fds[1].revents == 0) exited_ = true;
  return absl::OkStatus();
}

// Reaps it.
absl::Status Child::Exited() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  const std::string said(absl::StripAsciiWhitespace(errors_));
  return absl::UnavailableError(said.empty() ? absl::StrCat("it ", cluster::DescribeExit(status))
                                             : said);
}

absl::StatusOr<std::string> Child::ReadLine(Deadline deadline) {
  while (true) {
    if (const size_t end = output_.find('\n'); end != std::string::npos) {
      std::string line = output_.substr(0, end);
      output_.erase(0, end + 1);
      return line;
    }
    if (pid_ < 0) return absl::UnavailableError("it has ended");
    if (exited_) {
      RETURN_IF_ERROR(Exited());
      return absl::UnavailableError("it ended without an answer");
    }
    RETURN_IF_ERROR(Await(deadline, interrupt_fd_));
  }
}

absl::Status Child::AwaitEnd(Deadline deadline) {
  if (pid_ < 0) return absl::OkStatus();
  while (!exited_) RETURN_IF_ERROR(Await(deadline, interrupt_fd_));
  return Exited();
}

absl::Status Child::Finish(Deadline deadline) {
  in_.Reset();
  if (pid_ < 0) return absl::OkStatus();
  while (!exited_) RETURN_IF_ERROR(Await(deadline, -1));
  return Exited();
}

}  // namespace clustix::bench
