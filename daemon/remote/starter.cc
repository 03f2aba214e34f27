// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "daemon/remote/session.h"
#include "lib/base/descriptor_limit.h"
#include "lib/base/log.h"
#include "lib/base/status.h"

extern char** environ;

namespace clustix::remote {
namespace {

constexpr int kBacklog = 128;
constexpr mode_t kStarterSocketMode = 0600;
// Where the process finds them.
constexpr int kRestMs = 100;
constexpr int kListenerFd = 3;
constexpr int kLifelineFd = 4;

absl::StatusOr<base::UniqueFd> Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": too long for the path of a socket"));
  }
  path.copy(address.sun_path, path.size());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return base::ErrnoStatus(errno, path);
  }
  // Nobody can connect before listen().
  if (chmod(path.c_str(), kStarterSocketMode) != 0 || listen(fd.get(), kBacklog) != 0) {
    return base::ErrnoStatus(errno, path);
  }
  return fd;
}

// A child of a connection that is over must not become a zombie.
void Reap() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

void ServeConnection(int listener, int lifeline, int signals) {
  base::UniqueFd connection(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection.valid()) {
    // Of descriptors or memory there are none left, and the listener stays readable: nothing tells
    // when it is worth trying again.
    if (errno != EAGAIN && errno != EINTR) poll(nullptr, 0, kRestMs);
    return;
  }
  if (fork() != 0) return;  // if it failed, the daemon sees the connection end
  close(listener);
  close(lifeline);
  close(signals);
  _exit(RunSession(connection.Release()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Starter>> Starter::Start(const std::string& socket_path) {
  ASSIGN_OR_RETURN(base::UniqueFd listener, Listen(socket_path));
  std::unique_ptr<Starter> starter(new Starter(socket_path, std::move(listener)));
  RETURN_IF_ERROR(starter->Spawn());
  return starter;
}

Starter::~Starter() {
  unlink(path_.c_str());
  lifeline_.Reset();
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);  // it has nothing to put in order, and may be stopped
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::Status Starter::EnsureRunning() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0) return absl::OkStatus();
  base::Log(base::LogLevel::kWarning, "exec", "the starter of sessions has ended; starts another");
  pid_ = -1;
  return Spawn();
}

// posix_spawn() is safe in a process with threads: its child shares the memory, and calls nothing
// that could wait for another thread.
absl::Status Starter::Spawn() {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe");
  base::UniqueFd theirs(ends[0]);
  lifeline_.Reset(ends[1]);
  // Above what they are moved to, so that no move overwrites the other, and none is a move to
  // itself.
  base::UniqueFd high_listener(fcntl(listener_.get(), F_DUPFD_CLOEXEC, kLifelineFd + 1));
  base::UniqueFd high_lifeline(fcntl(theirs.get(), F_DUPFD_CLOEXEC, kLifelineFd + 1));
  if (!high_listener.valid() || !high_lifeline.valid()) return base::ErrnoStatus(errno, "dup");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, high_listener.get(), kListenerFd);
  posix_spawn_file_actions_adddup2(&actions, high_lifeline.get(), kLifelineFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, kLifelineFd + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // A session of its own: what a terminal sends to the daemon's is not meant for it.
  posix_spawnattr_setflags(
      &attributes,
      static_cast<int16_t>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
  std::string name = "clustixd-starter", how = kStarterArgument;
  std::array<char*, 3> argv = {name.data(), how.data(), nullptr};
  // The very program that runs, whatever an upgrade has put in its place; by its name where /proc
  // is that of other processes.
  int error = posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
  if (error == ENOENT) {
    const auto* path = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    error = posix_spawn(&pid_, path, &actions, &attributes, argv.data(), environ);
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) {
    base::RestoreDescriptorLimit(pid_);  // it starts programs as if the daemon had started none
    return absl::OkStatus();
  }
  pid_ = -1;
  return base::ErrnoStatus(error, "cannot start the process that starts sessions");
}

int RunStarter() {
  prctl(PR_SET_NAME, "clustix-starter");
  const int listener = kListenerFd, lifeline = kLifelineFd;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  base::UniqueFd signals(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) return 1;
  for (;;) {
    std::array<pollfd, 3> fds = {
        {{listener, POLLIN, 0}, {lifeline, POLLIN, 0}, {signals.get(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0) continue;  // only EINTR is possible
    if (fds[1].revents != 0) return 0;                   // the daemon is gone
    if (fds[2].revents != 0) {
      signalfd_siginfo info;
      while (read(signals.get(), &info, sizeof(info)) > 0) {
      }
      Reap();
    }
    if (fds[0].revents != 0) ServeConnection(listener, lifeline, signals.get());
  }
}

}  // namespace clustix::remote
