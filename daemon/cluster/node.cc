// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/node.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status.h"

namespace clustix::cluster {
namespace {

constexpr char kCommand[] = "node-init";

// fork() into new namespaces.
pid_t CloneWith(uint64_t namespaces) {
  clone_args arguments = {};
  arguments.flags = namespaces;
  arguments.exit_signal = SIGCHLD;
  return static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

[[noreturn]] void RunNodeInit(std::vector<char*>& argv, const std::string& program, int log,
                              int control, int network_switch) {
  setsid();
  // A copy first: the numbers that are wanted may be in use as sources.
  int high_control = fcntl(control, F_DUPFD, 16);
  int high_switch = network_switch >= 0 ? fcntl(network_switch, F_DUPFD, 16) : -1;
  int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  dup2(high_control, kControlFd);
  if (high_switch >= 0) dup2(high_switch, kSwitchFd);
  close_range(high_switch >= 0 ? kSwitchFd + 1 : kControlFd + 1, ~0U, 0);
  umask(022);
  if (chdir("/") != 0) _exit(126);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  execv(program.c_str(), argv.data());
  std::string text = absl::StrCat("cannot run ", program, ": ", strerror(errno));
  send(kControlFd, text.data(), text.size(), MSG_NOSIGNAL);
  _exit(127);
}

}  // namespace

std::vector<std::string> NodeInitArguments(const NodeOptions& options) {
  return {"clustix",    kCommand,
          "--base-dir", options.base,
          "--node",     absl::StrCat(options.node),
          "--mode",     ModeName(options.mode)};
}

std::optional<NodeOptions> ParseNodeInitArguments(const std::vector<std::string>& argv) {
  NodeOptions options;
  if (argv.size() != 8 || !absl::SimpleAtoi(argv[5], &options.node)) return std::nullopt;
  options.base = argv[3];
  options.mode = argv[7] == ModeName(Mode::kLoopback) ? Mode::kLoopback : Mode::kNamespaces;
  if (NodeInitArguments(options) != argv) return std::nullopt;
  return options;
}

absl::StatusOr<StartingNode> StartingNode::Start(const Layout& layout, Mode mode, int node,
                                                 const base::UniqueFd& network_switch) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return base::ErrnoStatus(errno, "cannot make a socket");
  }
  base::UniqueFd ours(sockets[0]), theirs(sockets[1]);
  base::UniqueFd log(
      open(layout.Log(node).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!log.valid()) return base::ErrnoStatus(errno, absl::StrCat("cannot open ", layout.Log(node)));

  std::vector<std::string> argv =
      NodeInitArguments({.node = node, .mode = mode, .base = layout.base()});
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const std::string program = OwnProgram();

  constexpr uint64_t kOwn = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;
  pid_t pid = CloneWith(mode == Mode::kNamespaces ? kOwn : 0);
  if (pid < 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot start node ", node));
  }
  if (pid == 0) {
    RunNodeInit(pointers, program, log.get(), theirs.get(), network_switch.get());
  }
  StartingNode result;
  result.node_ = node;
  result.log_ = layout.Log(node);
  result.control_ = std::move(ours);
  std::optional<ProcessId> id = IdentifyProcess(pid);
  if (!id) return absl::InternalError(absl::StrCat("node ", node, " died at once"));
  result.process_ = *id;
  return result;
}

absl::Status StartingNode::Await(const std::string& word, Deadline deadline) {
  pollfd entry = {control_.get(), POLLIN, 0};
  int ready;
  while ((ready = poll(&entry, 1, LeftMs(deadline))) < 0 && errno == EINTR) {
  }
  if (ready == 0) {
    return absl::DeadlineExceededError(
        absl::StrCat("node ", node_, " did not get ", word, " in time (see ", log_, ")"));
  }
  std::array<char, 1024> buffer;
  ssize_t n = recv(control_.get(), buffer.data(), buffer.size(), 0);
  if (n <= 0) {
    return absl::AbortedError(
        absl::StrCat("the first process of node ", node_, " died (see ", log_, ")"));
  }
  std::string text(buffer.data(), static_cast<size_t>(n));
  if (text == word) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("node ", node_, ": ", text));
}

absl::Status StartingNode::AwaitDetached(Deadline deadline) {
  pollfd entry = {control_.get(), 0, 0};  // POLLHUP always counts
  int ready;
  while ((ready = poll(&entry, 1, LeftMs(deadline))) < 0 && errno == EINTR) {
  }
  if (ready > 0) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("node ", node_, " does not go on by itself (see ", log_, ")"));
}

absl::Status StartingNode::Go() {
  if (send(control_.get(), kGo, sizeof(kGo) - 1, MSG_NOSIGNAL) >= 0) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("the first process of node ", node_, " died (see ", log_, ")"));
}

}  // namespace clustix::cluster
