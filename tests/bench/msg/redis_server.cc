// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/redis_server.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/bench/msg/library_peer.h"

namespace clustix::bench {
namespace {

// Another process may take a port between our finding it free and Redis' listening on it.
constexpr int kAttempts = 5;

// The Debian program is several tools in one, and goes by its name.
constexpr const char* kProgram = REDIS_SERVER;
constexpr const char* kName = "redis-server";

// An address that nobody listens on, of the given IP.
absl::StatusOr<std::string> FreeAddress(const PeerOptions& options) {
  ASSIGN_OR_RETURN(const base::UniqueFd probe, ListenTcp(options));
  return BoundAddress(probe.get());
}

// A socket that sd_notify(3) sends to; its name is the system's choice, in the abstract namespace.
absl::StatusOr<base::UniqueFd> NotifySocket(std::string& name) {
  base::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socklen_t length = sizeof address;
  if (!fd.valid() ||
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return base::ErrnoStatus(errno, "cannot make a socket for Redis to report to");
  }
  name = absl::StrCat(
      "@", absl::string_view(address.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1));
  return fd;
}

// In the child: becomes Redis.
[[noreturn]] void ExecRedis(pid_t parent, const std::string& address, const std::string& notify,
                            int log_fd) {
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon), port = address.substr(colon + 1);
  // It must not outlive us. Whether we are gone already is asked after that is arranged.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  setenv("NOTIFY_SOCKET", notify.c_str(), 1);
  dup2(log_fd, STDOUT_FILENO);
  dup2(log_fd, STDERR_FILENO);
  execl(kProgram, kName, "--bind", host.c_str(), "--port", port.c_str(),  // where
        "--save", "", "--appendonly", "no",                               // nothing on disk
        "--supervised", "systemd", "--daemonize", "no", "--logfile", "", "--loglevel", "warning",
        nullptr);
  _exit(127);
}

}  // namespace

RedisServer::~RedisServer() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

absl::StatusOr<std::string> RedisServer::Listen(const PeerOptions& options) {
  absl::Status started;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::string address, FreeAddress(options));
    started = Start(address);
    if (absl::IsAborted(started)) continue;
    RETURN_IF_ERROR(started);
    RETURN_IF_ERROR(SetCongestionOfListener(options.congestion));
    return address;
  }
  return started;
}

absl::Status RedisServer::Start(const std::string& address) {
  std::string notify;
  ASSIGN_OR_RETURN(notify_fd_, NotifySocket(notify));
  log_fd_.Reset(memfd_create("redis-log", MFD_CLOEXEC));
  if (!log_fd_.valid()) return base::ErrnoStatus(errno, "memfd_create");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) return base::ErrnoStatus(errno, "cannot fork");
  if (pid_ == 0) ExecRedis(parent, address, notify, log_fd_.get());
  pidfd_.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_.valid()) return base::ErrnoStatus(errno, "pidfd_open");
  return AwaitReady();
}

absl::Status RedisServer::AwaitReady() {
  std::string said;
  while (said.find("READY=1") == std::string::npos) {
    pollfd fds[] = {{notify_fd_.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    const int ready = poll(fds, std::size(fds), kPatienceMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return base::ErrnoStatus(errno, "poll");
    if (ready == 0) return absl::DeadlineExceededError("Redis does not get ready");
    if (fds[1].revents != 0) return Ended();
    char bytes[512];
    const ssize_t count = recv(notify_fd_.get(), bytes, sizeof bytes, 0);
    if (count > 0) said.append(bytes, static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status RedisServer::SetCongestionOfListener(const std::string& congestion) {
  if (congestion.empty()) return absl::OkStatus();
  const std::string path = absl::StrCat("/proc/", pid_, "/fd");
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (folder == nullptr) return base::ErrnoStatus(errno, path);
  while (const dirent* entry = readdir(folder.get())) {
    int theirs = -1;
    if (!absl::SimpleAtoi(entry->d_name, &theirs)) continue;
    const base::UniqueFd ours(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd_.get(), theirs, 0)));
    if (!ours.valid()) return base::ErrnoStatus(errno, "cannot reach the sockets of Redis");
    if (IsTcp(ours.get())) RETURN_IF_ERROR(SetCongestion(ours.get(), congestion));
  }
  return absl::OkStatus();
}

absl::Status RedisServer::Serve(int stop_fd) {
  while (true) {
    pollfd fds[] = {{stop_fd, POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    if (poll(fds, std::size(fds), -1) < 0) {
      if (errno == EINTR) continue;
      return base::ErrnoStatus(errno, "poll");
    }
    if (fds[0].revents != 0) return absl::OkStatus();
    return Ended();
  }
}

absl::Status RedisServer::Ended() {
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  std::string log(64u << 10, '\0');
  const ssize_t count = pread(log_fd_.get(), log.data(), log.size(), 0);
  log.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return absl::AbortedError(absl::StrCat("Redis (", kProgram, ") ended: ", log));
}

}  // namespace clustix::bench
