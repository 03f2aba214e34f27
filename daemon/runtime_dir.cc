// SPDX-License-Identifier: Apache-2.0
#include "daemon/runtime_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "lib/base/status.h"
#include "lib/client/socket_path.h"

namespace clustix::daemon {
namespace {

constexpr mode_t kMountPointMode = 0755;

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return base::ErrnoStatus(error.value(), "cannot make the runtime directory " + path);
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return base::ErrnoStatus(errno, path);
  // Below /tmp anybody may have made it first, and would then decide what is in it.
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": the runtime directory belongs to uid ",
                                                    info.st_uid, ", not to this user"));
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> Lock(const std::string& path) {
  for (;;) {
    base::UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return base::ErrnoStatus(errno, "cannot use the lock " + path);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, path);
      return absl::AlreadyExistsError(
          absl::StrCat(std::filesystem::path(path).parent_path().string(),
                       ": another clustixd runs there (give this one its own --runtime-dir)"));
    }
    // A daemon that stops removes the file before it lets go of the lock: what has been locked may
    // no longer be what the next one finds under the name.
    struct stat held {
    }, named{};
    if (fstat(fd.get(), &held) != 0) return base::ErrnoStatus(errno, path);
    if (stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
        held.st_dev == named.st_dev) {
      return fd;
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RuntimeDir>> RuntimeDir::Acquire(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(path));
  ASSIGN_OR_RETURN(base::UniqueFd lock, Lock(path + "/clustixd.lock"));
  std::unique_ptr<RuntimeDir> dir(new RuntimeDir(path, std::move(lock)));
  // Whoever listened here is dead, for the lock is ours.
  for (const std::string& socket : {dir->socket_path(), dir->exec_socket_path(),
                                    dir->starter_path(), dir->sets_socket_path()}) {
    if (unlink(socket.c_str()) != 0 && errno != ENOENT) {
      return base::ErrnoStatus(errno, "cannot remove the old socket " + socket);
    }
  }
  return dir;
}

RuntimeDir::~RuntimeDir() {
  for (const std::string& socket :
       {socket_path(), exec_socket_path(), starter_path(), sets_socket_path()}) {
    unlink(socket.c_str());
  }
  if (made_proc_) rmdir(proc_path().c_str());
  if (made_local_proc_) rmdir(local_proc_path().c_str());
  // 1. the name, 2. the lock with its descriptor: see Lock().
  unlink(lock_path().c_str());
  lock_.Reset();
  rmdir(path_.c_str());
}

std::string RuntimeDir::socket_path() const { return path_ + "/" + client::kSocketName; }

std::string RuntimeDir::exec_socket_path() const { return path_ + "/" + client::kExecSocketName; }

absl::Status RuntimeDir::MakeProc() {
  // On the mount of a killed daemon, mkdir() says EEXIST and anything else ENOTCONN.
  made_proc_ = mkdir(proc_path().c_str(), kMountPointMode) == 0;
  if (made_proc_ || errno == EEXIST) return absl::OkStatus();
  return base::ErrnoStatus(errno, "cannot make the mount point " + proc_path());
}

absl::Status RuntimeDir::MakeLocalProc() {
  made_local_proc_ = mkdir(local_proc_path().c_str(), kMountPointMode) == 0;
  if (made_local_proc_ || errno == EEXIST) return absl::OkStatus();
  return base::ErrnoStatus(errno, "cannot make the mount point " + local_proc_path());
}

}  // namespace clustix::daemon
