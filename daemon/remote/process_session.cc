// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/process_session.h"

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
extern "C" {  // which glibc 2.36 forgot
#include <sys/pidfd.h>
}

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/unique_fd.h"

namespace clustix::remote {
namespace {

void Tell(FrameSocket& socket, int32_t pid, int error, int value = 0) {
  socket.Send([&](proto::ExecFrame::Builder frame) {
    auto result = frame.initResult();
    result.setPid(pid);
    result.setError(error);
    result.setValue(value);
  });
}

void TellEnd(FrameSocket& socket) {
  socket.Send([](proto::ExecFrame::Builder frame) { frame.initExited(); });
}

struct Watched {
  int32_t pid;
  base::UniqueFd process;
};

// 0, or an errno: a pid that is no process's is no process.
int Open(int32_t pid, base::UniqueFd& process) {
  if (pid <= 0) return ESRCH;
  process.Reset(pidfd_open(pid, 0));
  if (process.valid()) return 0;
  return errno == EINVAL ? ESRCH : errno;  // a thread
}

// One descriptor for each process.
void AllowDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<Watched> OpenAll(FrameSocket& socket, capnp::List<int32_t>::Reader pids) {
  std::vector<Watched> watched;
  for (const int32_t pid : pids) {
    base::UniqueFd process;
    if (const int error = Open(pid, process)) {
      Tell(socket, pid, error);
    } else {
      watched.push_back({pid, std::move(process)});
    }
  }
  return watched;
}

// The threads of a process that there are; at least its first.
std::vector<int32_t> Threads(int32_t pid) {
  std::vector<int32_t> threads;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"), error)) {
    const std::string name = entry.path().filename().string();
    int32_t tid = 0;
    std::from_chars(name.data(), name.data() + name.size(), tid);
    if (tid > 0 && tid != pid) threads.push_back(tid);
  }
  threads.push_back(pid);
  return threads;
}

// The first thread last: its outcome is that of the process. One that ends meanwhile is no loss.
int Renice(int32_t pid, int nice, bool relative, int& value) {
  base::UniqueFd process;
  if (const int error = Open(pid, process)) return error;
  for (const int32_t tid : Threads(pid)) {
    const auto id = static_cast<id_t>(tid);
    errno = 0;
    const int before = getpriority(PRIO_PROCESS, id);
    if (errno == 0) {
      // The kernel cuts it to what there is.
      value = std::clamp(relative ? before + nice : nice, -20, 19);
      errno = setpriority(PRIO_PROCESS, id, value) == 0 ? 0 : errno;
    }
    if (errno != 0 && (errno != ESRCH || tid == pid)) return errno == EACCES ? EPERM : errno;
  }
  return 0;
}

}  // namespace

void WaitForProcesses(FrameSocket& socket, capnp::List<int32_t>::Reader pids) {
  AllowDescriptors();
  std::vector<Watched> watched = OpenAll(socket, pids);
  while (!watched.empty()) {
    std::vector<pollfd> fds = {socket.Poll()};
    for (const Watched& one : watched) fds.push_back({one.process.get(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) continue;  // only EINTR is possible
    for (size_t i = watched.size(); i-- > 0;) {
      if (fds[1 + i].revents == 0) continue;
      Tell(socket, watched[i].pid, 0);
      watched.erase(watched.begin() + static_cast<ptrdiff_t>(i));
    }
    if (!socket.OnReady(fds[0].revents)) return;
  }
  TellEnd(socket);
}

void ReniceProcesses(FrameSocket& socket, proto::Renice::Reader renice) {
  for (const int32_t pid : renice.getPids()) {
    int value = 0;
    const int error = Renice(pid, renice.getNice(), renice.getRelative(), value);
    Tell(socket, pid, error, value);
  }
  TellEnd(socket);
}

}  // namespace clustix::remote
