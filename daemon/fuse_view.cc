// SPDX-License-Identifier: Apache-2.0
//
// libfuse's own loop can only be left from inside or by killing its threads, so the threads here
// wait on two things: the device and an event that says stop.
#include "daemon/fuse_view.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "daemon/fuse_operations.h"
#include "lib/base/log.h"

namespace clustix::daemon {
namespace {

// What libfuse has to say about a failed mount it prints; kept here to go into the Status.
thread_local std::string fuse_complaint;

void KeepComplaint(fuse_log_level, const char* format, va_list arguments) {
  std::array<char, 512> text;
  std::vsnprintf(text.data(), text.size(), format, arguments);
  fuse_complaint = text.data();
  while (!fuse_complaint.empty() && fuse_complaint.back() == '\n') fuse_complaint.pop_back();
}

void KeepComplaints() {
  static std::once_flag once;
  std::call_once(once, [] { fuse_set_log_func(KeepComplaint); });
  fuse_complaint.clear();
}

absl::Status Complain(const std::string& path, const std::string& what) {
  std::string text = "cannot mount the cluster's /proc at " + path + ": " + what;
  if (!fuse_complaint.empty()) text += ": " + fuse_complaint;
  return absl::UnavailableError(text);
}

// Without root, only fusermount3 may unmount.
bool Detach(const std::string& path) {
  if (umount2(path.c_str(), MNT_DETACH) == 0) return true;
  std::string program = "fusermount3", unmount = "-u", lazy = "-z", quiet = "-q", target = path;
  char* const arguments[] = {program.data(), unmount.data(), lazy.data(),
                             quiet.data(),   target.data(),  nullptr};
  pid_t pid;
  int status = 1;
  if (posix_spawnp(&pid, "fusermount3", nullptr, nullptr, arguments, environ) != 0) return false;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status == 0;
}

// Leaves `path` a directory with nothing mounted on it, or says why not.
absl::Status PrepareMountPoint(const std::string& path) {
  struct stat info, above;
  while (stat(path.c_str(), &info) != 0) {
    if (errno != ENOTCONN && errno != ECONNABORTED) {
      return absl::ErrnoToStatus(errno, "cannot mount the cluster's /proc at " + path);
    }
    // The daemon that served it is dead.
    if (!Detach(path)) {
      return absl::FailedPreconditionError("cannot mount the cluster's /proc at " + path +
                                           ": the mount of a dead daemon cannot be detached (try: "
                                           "umount -l " +
                                           path + ")");
    }
  }
  if (!S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError("cannot mount the cluster's /proc at " + path +
                                         ": not a directory");
  }
  if (stat((path + "/..").c_str(), &above) == 0 && above.st_dev != info.st_dev) {
    return absl::AlreadyExistsError("cannot mount the cluster's /proc at " + path +
                                    ": something is mounted there already");
  }
  return absl::OkStatus();
}

// 0: nothing is there. Asks the kernel alone (AT_STATX_DONT_SYNC): a question to the view would be
// one that the daemon has to answer itself.
uint64_t MountIdAt(const std::string& path) {
  struct statx info;
  constexpr int kFlags = AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  if (statx(AT_FDCWD, path.c_str(), kFlags, STATX_MNT_ID, &info) != 0) return 0;
  return info.stx_mnt_id;
}

}  // namespace

class FuseView::Session {
 public:
  Session(procview::ClusterView* view, const std::string& local_proc)
      : state_{.tree = ProcTree(view, local_proc)} {}
  ~Session() { Stop(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  absl::Status Start(const std::string& path, const Options& options);
  void Stop();
  bool IsMounted() const { return !ended_ && mount_id_ != 0 && MountIdAt(path_) == mount_id_; }

 private:
  void Serve(int epoll_fd);
  absl::Status StartThread();

  FuseState state_;
  fuse_session* session_ = nullptr;
  bool mounted_ = false;
  std::string path_;
  uint64_t mount_id_ = 0;
  std::atomic<bool> ended_ = false;  // not by Stop()
  int stop_fd_ = -1;
  std::vector<std::thread> threads_;
};

absl::Status FuseView::Session::Start(const std::string& path, const Options& options) {
  KeepComplaints();
  // Read-only: nothing of /proc can be written yet, and the kernel then says so by itself.
  const std::string choices = std::string("ro,nosuid,nodev,noexec,fsname=clustix,subtype=proc") +
                              (options.allow_other ? ",allow_other" : "");
  std::array<std::string, 3> words = {"clustix", "-o", choices};
  std::array<char*, 4> argv = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, argv.data());
  session_ = fuse_session_new(&arguments, &FuseOperations(), sizeof(fuse_lowlevel_ops), &state_);
  fuse_opt_free_args(&arguments);
  if (session_ == nullptr) return Complain(path, "libfuse refuses to start");
  if (fuse_session_mount(session_, path.c_str()) != 0) {
    return Complain(path, access("/dev/fuse", R_OK | W_OK) == 0
                              ? "mount refused"
                              : std::string("/dev/fuse: ") + std::strerror(errno));
  }
  mounted_ = true;
  path_ = path;
  mount_id_ = MountIdAt(path);
  const int fd = fuse_session_fd(session_);
  stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd_ < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, "cannot serve the cluster's /proc");
  }
  for (int i = 0; i < options.threads; ++i) {
    if (absl::Status status = StartThread(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status FuseView::Session::StartThread() {
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  epoll_event stop = {}, request = {};
  stop.events = EPOLLIN;
  stop.data.fd = stop_fd_;
  // One thread is woken per request, not all.
  request.events = EPOLLIN | EPOLLEXCLUSIVE;
  request.data.fd = fuse_session_fd(session_);
  if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, stop.data.fd, &stop) != 0 ||
      epoll_ctl(epoll_fd, EPOLL_CTL_ADD, request.data.fd, &request) != 0) {
    const int error = errno;
    if (epoll_fd >= 0) close(epoll_fd);
    return absl::ErrnoToStatus(error, "cannot serve the cluster's /proc");
  }
  // Signals belong to the daemon's own threads; a thread inherits the mask it is started under.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  threads_.emplace_back([this, epoll_fd] { Serve(epoll_fd); });
  pthread_setname_np(threads_.back().native_handle(), "proc-view");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return absl::OkStatus();
}

void FuseView::Session::Serve(int epoll_fd) {
  fuse_buf buffer = {};
  for (bool running = true; running;) {
    epoll_event event;
    const int ready = epoll_wait(epoll_fd, &event, 1, -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 1 || event.data.fd == stop_fd_) break;
    const int received = fuse_session_receive_buf(session_, &buffer);
    if (received == -EAGAIN || received == -EINTR) continue;  // another thread took it
    running = received > 0;
    if (running) {
      fuse_session_process_buf(session_, &buffer);
    } else if (!ended_.exchange(true)) {
      // Harms nobody; `clustix status` tells.
      base::Log(base::LogLevel::kWarning, "proc-view", "the cluster's /proc was unmounted",
                {{"path", path_}});
    }
  }
  free(buffer.mem);
  close(epoll_fd);
}

// 1. No thread reads requests any more. 2. The mount goes from the tree, whoever is inside. 3.
// libfuse closes the device, the last reference, and the kernel fails what is still pending with
// ENOTCONN.
void FuseView::Session::Stop() {
  if (stop_fd_ >= 0) eventfd_write(stop_fd_, 1);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (mounted_) fuse_session_unmount(session_);
  mounted_ = false;
  if (session_ != nullptr) fuse_session_destroy(std::exchange(session_, nullptr));
  if (stop_fd_ >= 0) close(std::exchange(stop_fd_, -1));
}

FuseView::FuseView(std::unique_ptr<Session> session) : session_(std::move(session)) {}
FuseView::~FuseView() = default;
void FuseView::Unmount() { session_.reset(); }
bool FuseView::IsMounted() const { return session_ != nullptr && session_->IsMounted(); }

absl::StatusOr<std::unique_ptr<FuseView>> FuseView::Mount(procview::ClusterView* view,
                                                          const std::string& path,
                                                          const Options& options) {
  if (absl::Status status = PrepareMountPoint(path); !status.ok()) return status;
  auto session = std::make_unique<Session>(view, options.local_proc);
  if (absl::Status status = session->Start(path, options); !status.ok()) return status;
  return std::unique_ptr<FuseView>(new FuseView(std::move(session)));
}

}  // namespace clustix::daemon
