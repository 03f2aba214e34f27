// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern "C" {  // which glibc 2.36 forgot
#include <sys/pidfd.h>
}

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/process.h"
#include "daemon/remote/frame.h"
#include "lib/base/status.h"

namespace clustix::remote {
namespace {

using std::chrono::milliseconds;

enum class Stage : int { kDirectory, kTerminal, kProgram, kRuns };

// What the child says before it becomes the program, or instead of it.
struct Report {
  Stage stage = Stage::kRuns;
  int error = 0;
  int at_home = 0;
};

winsize ToWinsize(TerminalSize size) {
  return {.ws_row = size.rows, .ws_col = size.columns, .ws_xpixel = 0, .ws_ypixel = 0};
}

Program::Failure Cannot(const std::string& what, int error, int exit_code = kExitNotStarted) {
  return {exit_code, absl::StrCat(what, ": ", strerror(error))};
}

// The session of a process, and whether it is a zombie; nothing if there is none.
struct SessionOf {
  pid_t session;
  bool zombie;
};
std::optional<SessionOf> FindSession(pid_t pid) {
  absl::StatusOr<std::string> stat = cluster::ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return std::nullopt;
  const size_t bracket = stat->rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(stat->substr(bracket + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 0, kSession = 3;  // fields 3 and 6 of stat
  SessionOf found{};
  if (fields.size() <= kSession || !absl::SimpleAtoi(fields[kSession], &found.session)) {
    return std::nullopt;
  }
  found.zombie = fields[kState] == "Z" || fields[kState] == "X";
  return found;
}

// As a login has them. By the system call: glibc keeps two signals to itself, which posix_spawn()
// had the starter ignore.
void ResetSignals() {
  constexpr size_t kSetBytes = 8;
  const std::array<uint64_t, 8> by_default{};  // the kernel's struct sigaction, and to spare
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    syscall(SYS_rt_sigaction, signal, by_default.data(), nullptr, kSetBytes);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

// The program's ends.
struct Program::Ends {
  base::UniqueFd in, out, err, terminal;

  // Pipes, or a terminal, for `program`.
  int Make(Program& program, const std::optional<TerminalSize>& size);
};

int Program::Ends::Make(Program& program, const std::optional<TerminalSize>& size) {
  if (size) {
    winsize wanted = ToWinsize(*size);
    int master, slave;
    if (openpty(&master, &slave, nullptr, nullptr, &wanted) != 0) return errno;
    terminal.Reset(slave);
    program.out.Reset(master);
    program.in.Reset(fcntl(master, F_DUPFD_CLOEXEC, 0));
    if (!program.in.valid()) return errno;
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
    return 0;
  }
  auto make = [](base::UniqueFd& read_end, base::UniqueFd& write_end) {
    std::array<int, 2> ends;
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return errno;
    read_end.Reset(ends[0]);
    write_end.Reset(ends[1]);
    return 0;
  };
  if (int error = make(in, program.in)) return error;
  if (int error = make(program.out, out)) return error;
  if (int error = make(program.err, err)) return error;
  // Of ours alone: each end of a pipe has flags of its own.
  for (const base::UniqueFd* own : {&program.in, &program.out, &program.err}) {
    fcntl(own->get(), F_SETFL, O_NONBLOCK);
  }
  return 0;
}

std::optional<Program::Failure> Program::Start(const ProgramOptions& options) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  children_.Reset(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!children_.valid()) return Cannot("signalfd", errno);
  // What the program leaves behind becomes ours, and so is reaped, and can be waited for.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Ends ends;
  if (int error = ends.Make(*this, options.terminal)) {
    return Cannot(options.terminal ? "cannot make a terminal" : "cannot make a pipe", error);
  }
  has_terminal_ = options.terminal.has_value();
  std::array<int, 2> reports;
  if (pipe2(reports.data(), O_CLOEXEC) != 0) return Cannot("cannot make a pipe", errno);
  base::UniqueFd report_in(reports[0]), report_out(reports[1]);
  pid_ = fork();
  if (pid_ < 0) return Cannot("cannot start a process", errno);
  if (pid_ == 0) Become(options, ends, report_out.get());
  report_out.Reset();
  // The program's ends must be its own alone, or its end would not show.
  ends = Ends();
  // A first report if all goes well until the program is run, and then the end; a second if it
  // cannot be run.
  Report report;
  for (Report next; read(report_in.get(), &next, sizeof(next)) == sizeof(next);) report = next;
  at_home_ = report.at_home != 0;
  if (report.stage == Stage::kRuns && report.error == 0) return std::nullopt;
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  switch (report.stage) {
    case Stage::kDirectory:
      return Cannot(options.directory, report.error);
    case Stage::kTerminal:
      return Cannot("cannot use the terminal", report.error);
    default:
      return Cannot(options.argv[0], report.error,
                    report.error == ENOENT ? kExitNotFound : kExitNotStarted);
  }
}

// In the child. The parent has one thread, so that anything may be called here.
void Program::Become(const ProgramOptions& options, const Ends& ends, int report_fd) {
  Report report;
  auto fail = [&report, report_fd](Stage stage) {
    report.stage = stage;
    report.error = errno;
    (void)!write(report_fd, &report, sizeof(report));
    _exit(kExitNotStarted);
  };
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // somebody has killed the session itself
  setsid();
  if (ends.terminal.valid()) {
    if (ioctl(ends.terminal.get(), TIOCSCTTY, 0) != 0) fail(Stage::kTerminal);
    for (int fd : {0, 1, 2}) dup2(ends.terminal.get(), fd);
  } else {
    dup2(ends.in.get(), STDIN_FILENO);
    dup2(ends.out.get(), STDOUT_FILENO);
    dup2(ends.err.get(), STDERR_FILENO);
  }
  ResetSignals();
  umask(022);
  const std::string* directory = &options.directory;
  if (directory->empty() || chdir(directory->c_str()) != 0) {
    if (options.home.empty()) fail(Stage::kDirectory);
    report.at_home = 1;
    directory = &options.home;
    if (chdir(directory->c_str()) != 0) {
      static const std::string root = "/";
      directory = &root;
      if (chdir("/") != 0) fail(Stage::kDirectory);
    }
  }
  clearenv();
  for (const std::string& entry : options.environment) putenv(strdup(entry.c_str()));
  setenv("PWD", directory->c_str(), 1);
  (void)!write(report_fd, &report, sizeof(report));
  std::vector<char*> argv;
  for (const std::string& argument : options.argv) argv.push_back(strdup(argument.c_str()));
  argv.push_back(nullptr);
  // `report_fd` and all else that is open closes as the program begins.
  execvp(argv[0], argv.data());
  fail(Stage::kProgram);
  __builtin_unreachable();
}

void Program::Resize(TerminalSize size) {
  if (!has_terminal_ || !out.valid()) return;
  const winsize wanted = ToWinsize(size);
  ioctl(out.get(), TIOCSWINSZ, &wanted);
}

void Program::Signal(int signal) {
  if (pid_ > 0) kill(-pid_, signal);  // its zombie keeps the group's number its own
}

void Program::Reap() {
  signalfd_siginfo info;
  while (read(children_.get(), &info, sizeof(info)) > 0) {
  }
  for (;;) {
    siginfo_t ended{};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) break;
    if (ended.si_pid != pid_) {
      waitpid(ended.si_pid, nullptr, WNOHANG);
      continue;
    }
    if (status_) {
      ReapOthers();
      break;
    }
    const bool exited = ended.si_code == CLD_EXITED;
    status_ = exited ? W_EXITCODE(ended.si_status, 0) : W_EXITCODE(0, ended.si_status);
  }
}

size_t Program::SignalSession(int signal) {
  size_t count = 0;
  for (pid_t pid : cluster::ListPids()) {
    std::optional<SessionOf> found = FindSession(pid);
    if (!found || found->session != pid_ || found->zombie) continue;
    // Looked at again once it is open: from there on it is no other process.
    base::UniqueFd process(pidfd_open(pid, 0));
    found = FindSession(pid);
    if (!process.valid() || !found || found->session != pid_ || found->zombie) continue;
    ++count;
    if (signal != 0) pidfd_send_signal(process.get(), signal, nullptr, 0);
  }
  return count;
}

void Program::HangUp(milliseconds grace) {
  in.Reset();
  out.Reset();
  err.Reset();
  if (pid_ <= 0) return;
  SignalSession(SIGHUP);
  SignalSession(SIGCONT);
  const cluster::Deadline deadline = cluster::After(grace);
  // Each process of the session is a descendant of ours, and its end a SIGCHLD, for we are the
  // reaper: directly, or when its parent has ended.
  bool killed = false;
  while (SignalSession(0) > 0) {
    const int left_ms = cluster::LeftMs(deadline);
    if (left_ms == 0 && !killed) {
      SignalSession(SIGKILL);
      killed = true;
    }
    // One that a living parent of another session has yet to reap is found by looking again.
    constexpr int kLookAgainMs = 200;
    pollfd entry = {children_.get(), POLLIN, 0};
    poll(&entry, 1, killed ? kLookAgainMs : std::min(left_ms, kLookAgainMs));
    Reap();
    // Not ours to kill (it has another user's rights), or stuck in the kernel: it is left.
    if (killed && cluster::After(milliseconds(0)) > deadline + grace) break;
  }
  Reap();  // those that had ended before they were looked for
}

// Of all children, waitid() tells of the zombie that is kept again and again.
void Program::ReapOthers() {
  for (const pid_t pid : cluster::ListPids()) {
    const std::optional<SessionOf> found = FindSession(pid);
    if (pid != pid_ && found && found->zombie) waitpid(pid, nullptr, WNOHANG);  // if it is a child
  }
}

void Program::Forget() {
  // One that could not be ended goes on, and is reaped by whoever takes it over from us.
  if (pid_ > 0) waitpid(pid_, nullptr, WNOHANG);
  pid_ = -1;
}

}  // namespace clustix::remote
