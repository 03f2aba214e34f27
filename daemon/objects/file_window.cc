// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/file_window.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

// This thread's rights to files are another user's while it lives. System calls by their numbers,
// as glibc's functions would change all threads.
class FileRights {
 public:
  FileRights(uid_t uid, gid_t gid) {
    const long count = syscall(SYS_getgroups, 0, nullptr);
    groups_.resize(count > 0 ? static_cast<size_t>(count) : 0);
    syscall(SYS_getgroups, groups_.size(), groups_.data());
    syscall(SYS_setgroups, 0, nullptr);
    gid_ = static_cast<gid_t>(setfsgid(gid));
    uid_ = static_cast<uid_t>(setfsuid(uid));
    // They do not say whether they have succeeded, except when asked again.
    taken_ = static_cast<gid_t>(setfsgid(gid)) == gid && static_cast<uid_t>(setfsuid(uid)) == uid;
  }
  FileRights(const FileRights&) = delete;
  FileRights& operator=(const FileRights&) = delete;
  ~FileRights() {
    setfsuid(uid_);
    setfsgid(gid_);
    syscall(SYS_setgroups, groups_.size(), groups_.data());
  }
  bool taken() const { return taken_; }

 private:
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  std::vector<gid_t> groups_;
  bool taken_ = false;
};

absl::StatusOr<base::UniqueFd> OpenAs(const std::string& path, uid_t uid, gid_t gid) {
  // O_NONBLOCK: not to wait for whoever would open the other end, if it is a pipe.
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  base::UniqueFd fd;
  if (uid == geteuid() && uid != 0) {
    fd.Reset(open(path.c_str(), kFlags));
  } else {
    const FileRights rights(uid, gid);
    if (!rights.taken()) {
      return absl::PermissionDeniedError(
          absl::StrCat("this daemon cannot open files with the rights of uid ", uid));
    }
    fd.Reset(open(path.c_str(), kFlags));
  }
  if (!fd.valid()) return base::ErrnoStatus(errno, path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return base::ErrnoStatus(errno, path);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(path + ": not a regular file");
  return fd;
}

}  // namespace

absl::StatusOr<int> FileWindow::Fd() {
  const base::MutexLock lock(mutex_);
  if (!fd_.valid()) {
    ASSIGN_OR_RETURN(fd_, OpenAs(path_, uid_, gid_));
  }
  return fd_.get();
}

absl::StatusOr<off_t> FileWindow::OffsetOf(uint64_t object) const {
  if (object >= static_cast<uint64_t>(std::numeric_limits<off_t>::max()) / object_bytes_) {
    return absl::OutOfRangeError("no file is as large");
  }
  return static_cast<off_t>(object * object_bytes_);
}

absl::StatusOr<kddm::Data> FileWindow::Read(uint64_t object) {
  ASSIGN_OR_RETURN(const int fd, Fd());
  ASSIGN_OR_RETURN(const off_t offset, OffsetOf(object));
  auto data = std::make_shared<std::vector<std::byte>>(object_bytes_);
  size_t done = 0;
  while (done < object_bytes_) {
    const ssize_t bytes =
        pread(fd, data->data() + done, object_bytes_ - done, offset + static_cast<off_t>(done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return base::ErrnoStatus(errno, path_);
    if (bytes == 0) break;
    done += static_cast<size_t>(bytes);
  }
  if (done == 0) return kddm::Data();
  data->resize(done);
  return kddm::Data(std::move(data));
}

absl::Status FileWindow::Write(uint64_t object, const kddm::Data& data) {
  ASSIGN_OR_RETURN(const int fd, Fd());
  ASSIGN_OR_RETURN(const off_t offset, OffsetOf(object));
  if (data->size() > object_bytes_) {
    return absl::OutOfRangeError(absl::StrCat("an object of ", data->size(), " bytes: at most ",
                                              object_bytes_, " fit into its place in the file"));
  }
  std::vector<std::byte> whole(*data);
  whole.resize(object_bytes_);
  size_t done = 0;
  while (done < whole.size()) {
    const ssize_t bytes =
        pwrite(fd, whole.data() + done, whole.size() - done, offset + static_cast<off_t>(done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return base::ErrnoStatus(errno, path_);
    done += static_cast<size_t>(bytes);
  }
  return absl::OkStatus();
}

absl::Status FileWindow::Remove(uint64_t object) {
  ASSIGN_OR_RETURN(const int fd, Fd());
  ASSIGN_OR_RETURN(const off_t offset, OffsetOf(object));
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                static_cast<off_t>(object_bytes_)) != 0) {
    return base::ErrnoStatus(errno, path_);
  }
  return absl::OkStatus();
}

absl::Status FileWindow::Sync() {
  ASSIGN_OR_RETURN(const int fd, Fd());
  return fdatasync(fd) == 0 ? absl::OkStatus() : base::ErrnoStatus(errno, path_);
}

}  // namespace clustix::daemon
