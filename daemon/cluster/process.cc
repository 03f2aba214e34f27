// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
extern "C" {  // which glibc 2.36 forgot
#include <sys/pidfd.h>
}

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/cluster/files.h"
#include "lib/base/status.h"

namespace clustix::cluster {
namespace {

std::string ProcFile(pid_t pid, const char* name) { return absl::StrCat("/proc/", pid, "/", name); }

// The rest of the line of /proc/PID/status that starts with `key`.
std::optional<std::string> StatusField(pid_t pid, std::string_view key) {
  absl::StatusOr<std::string> text = ReadFile(ProcFile(pid, "status"));
  if (!text.ok()) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    std::string_view view = base::ToStd(line);
    if (view.starts_with(key)) return std::string(view.substr(key.size()));
  }
  return std::nullopt;
}

// Reads both pipes to their ends without letting either fill up, while feeding the third.
void Exchange(base::UniqueFd in, base::UniqueFd out, base::UniqueFd err, const std::string& input,
              ToolResult* result) {
  size_t written = 0;
  fcntl(in.get(), F_SETFL, O_NONBLOCK);  // else a write larger than the pipe would wait for room
  if (input.empty()) in.Reset();
  while (in.valid() || out.valid() || err.valid()) {
    std::array<pollfd, 3> fds = {pollfd{in.get(), POLLOUT, 0}, pollfd{out.get(), POLLIN, 0},
                                 pollfd{err.get(), POLLIN, 0}};
    if (poll(fds.data(), fds.size(), -1) < 0) continue;  // only EINTR is possible
    if (fds[0].revents != 0) {
      ssize_t n = write(in.get(), input.data() + written, input.size() - written);
      if (n > 0) written += static_cast<size_t>(n);
      if ((n < 0 && errno != EAGAIN) || written == input.size()) in.Reset();
    }
    auto drain = [](base::UniqueFd& fd, std::string& to) {
      char buffer[4096];
      ssize_t n = read(fd.get(), buffer, sizeof(buffer));
      if (n > 0) to.append(buffer, static_cast<size_t>(n));
      if (n <= 0) fd.Reset();
    };
    if (fds[1].revents != 0) drain(out, result->output);
    if (fds[2].revents != 0) drain(err, result->errors);
  }
}

[[noreturn]] void RunChild(std::vector<char*>& argv, int in, int out, int err,
                           const std::function<int()>& prepare) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  int error = prepare ? prepare() : 0;
  if (error == 0) {
    execvp(argv[0], argv.data());
    error = errno;
  }
  dprintf(STDERR_FILENO, "%s: %s", argv[0], strerror(error));
  _exit(127);
}

}  // namespace

int LeftMs(Deadline deadline) {
  auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT32_MAX));
}

std::optional<ProcessId> IdentifyProcess(pid_t pid) {
  absl::StatusOr<std::string> stat = ReadFile(ProcFile(pid, "stat"));
  if (!stat.ok()) return std::nullopt;
  // The name, field 2, may hold anything: fields are counted from its closing bracket.
  size_t bracket = stat->rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::vector<std::string> fields =
      absl::StrSplit(stat->substr(bracket + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 0, kStartTime = 19;  // fields 3 and 22
  ProcessId id{.pid = pid};
  if (fields.size() <= kStartTime || fields[kState] == "Z" || fields[kState] == "X" ||
      !absl::SimpleAtoi(fields[kStartTime], &id.start_ticks)) {
    return std::nullopt;
  }
  return id;
}

absl::StatusOr<base::UniqueFd> OpenProcess(const ProcessId& id) {
  base::UniqueFd fd(pidfd_open(id.pid, 0));
  if (!fd.valid() && errno != ESRCH) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot watch process ", id.pid));
  }
  // Checked after the open: from here on the descriptor means one process only.
  if (!fd.valid() || IdentifyProcess(id.pid) != id) {
    return absl::NotFoundError(absl::StrCat("process ", id.pid, " is gone"));
  }
  return fd;
}

absl::Status SendSignal(const base::UniqueFd& pidfd, int signal) {
  if (pidfd_send_signal(pidfd.get(), signal, nullptr, 0) == 0) return absl::OkStatus();
  if (errno == ESRCH) return absl::NotFoundError("the process is gone");
  return base::ErrnoStatus(errno, absl::StrCat("cannot send signal ", signal));
}

bool AwaitExit(std::span<const base::UniqueFd> pidfds, Deadline deadline) {
  for (const base::UniqueFd& fd : pidfds) {
    if (!fd.valid()) continue;
    pollfd entry = {fd.get(), POLLIN, 0};
    int ready;
    while ((ready = poll(&entry, 1, LeftMs(deadline))) < 0 && errno == EINTR) {
    }
    if (ready <= 0) return false;
  }
  return true;
}

std::vector<pid_t> ListPids() {
  std::vector<pid_t> pids;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc"), closedir);
  if (!dir) return pids;
  while (const dirent* entry = readdir(dir.get())) {
    pid_t pid = 0;
    std::string_view name = entry->d_name;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  return pids;
}

std::vector<std::string> CommandLine(pid_t pid) {
  absl::StatusOr<std::string> text = ReadFile(ProcFile(pid, "cmdline"));
  if (!text.ok() || text->empty()) return {};
  if (text->back() == '\0') text->pop_back();
  return absl::StrSplit(*text, '\0');
}

std::vector<pid_t> NamespacePids(pid_t pid) {
  std::vector<pid_t> pids;
  std::optional<std::string> field = StatusField(pid, "NSpid:");
  if (!field) return pids;
  for (absl::string_view word : absl::StrSplit(*field, absl::ByAnyChar("\t "), absl::SkipEmpty())) {
    pid_t number = 0;
    if (absl::SimpleAtoi(word, &number)) pids.push_back(number);
  }
  return pids;
}

std::optional<uid_t> RealUid(pid_t pid) {
  std::optional<std::string> field = StatusField(pid, "Uid:");
  if (!field) return std::nullopt;
  std::vector<std::string> words =
      absl::StrSplit(*field, absl::ByAnyChar("\t "), absl::SkipEmpty());
  uid_t uid = 0;
  if (words.empty() || !absl::SimpleAtoi(words[0], &uid)) return std::nullopt;
  return uid;
}

absl::StatusOr<ToolResult> RunTool(const std::vector<std::string>& argv, const std::string& input,
                                   const std::function<int()>& prepare) {
  struct Pipe {
    base::UniqueFd read_end, write_end;
  };
  std::array<Pipe, 3> pipes;
  for (Pipe& pipe : pipes) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "cannot make a pipe");
    pipe.read_end.Reset(fds[0]);
    pipe.write_end.Reset(fds[1]);
  }
  std::vector<std::string> copy = argv;
  std::vector<char*> pointers;
  for (std::string& argument : copy) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  // A child that dies before it has read everything must cost an EPIPE here, not this process.
  auto old_handler = signal(SIGPIPE, SIG_IGN);
  pid_t child = fork();
  if (child < 0) {
    int error = errno;
    signal(SIGPIPE, old_handler);
    return base::ErrnoStatus(error, absl::StrCat("cannot start ", argv[0]));
  }
  if (child == 0) {
    RunChild(pointers, pipes[0].read_end.get(), pipes[1].write_end.get(), pipes[2].write_end.get(),
             prepare);
  }
  pipes[0].read_end.Reset();
  pipes[1].write_end.Reset();
  pipes[2].write_end.Reset();
  ToolResult result;
  Exchange(std::move(pipes[0].write_end), std::move(pipes[1].read_end),
           std::move(pipes[2].read_end), input, &result);
  while (waitpid(child, &result.status, 0) < 0 && errno == EINTR) {
  }
  signal(SIGPIPE, old_handler);
  return result;
}

int ExitCode(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return absl::StrCat("was killed by signal ", WTERMSIG(wait_status), " (",
                        strsignal(WTERMSIG(wait_status)), ")");
  }
  return absl::StrCat("exited with status ", WEXITSTATUS(wait_status));
}

std::string ProgramOf(pid_t pid) {
  char path[4096];
  ssize_t length = readlink(absl::StrCat("/proc/", pid, "/exe").c_str(), path, sizeof(path));
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "";
}

std::string OwnProgram() {
  const std::string path = ProgramOf(getpid());
  return path.empty() ? "clustix" : path;
}

std::string SiblingProgram(const std::string& name) {
  std::string own = OwnProgram();
  std::string sibling = absl::StrCat(own.substr(0, own.rfind('/') + 1), name);
  return access(sibling.c_str(), X_OK) == 0 ? sibling : name;
}

}  // namespace clustix::cluster
