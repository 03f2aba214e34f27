// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/files.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {
namespace {

absl::Status WriteAll(int fd, const std::string& text, const std::string& path) {
  for (size_t done = 0; done < text.size();) {
    ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::ErrnoStatus(errno, absl::StrCat("cannot write ", path));
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, absl::StrCat("cannot read ", path));
  std::string text;
  char buffer[16384];
  for (;;) {
    ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::ErrnoStatus(errno, absl::StrCat("cannot read ", path));
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

absl::Status WriteProcFile(const std::string& path, const std::string& text) {
  base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd.valid() && write(fd.get(), text.data(), text.size()) >= 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, absl::StrCat("cannot write ", path));
}

absl::Status WriteFileAtomically(const std::string& path, const std::string& text, mode_t mode) {
  std::string fresh = absl::StrCat(path, ".new");
  base::UniqueFd fd(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd.valid()) return base::ErrnoStatus(errno, absl::StrCat("cannot create ", fresh));
  absl::Status status = WriteAll(fd.get(), text, fresh);
  if (status.ok() && rename(fresh.c_str(), path.c_str()) != 0) {
    status = base::ErrnoStatus(errno, absl::StrCat("cannot rename ", fresh, " to ", path));
  }
  if (!status.ok()) unlink(fresh.c_str());
  return status;
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return absl::OkStatus();
  if (errno != EEXIST) return base::ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot look at ", path));
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() ||
      (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, " exists, but is not a directory that only its owner, user ", geteuid(),
                     ", may write to"));
  }
  return absl::OkStatus();
}

absl::Status MarkDirectory(const std::string& path) {
  const std::string mark = absl::StrCat(path, "/", kMarkName);
  const base::UniqueFd fd(open(mark.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  return fd.valid() ? absl::OkStatus() : base::ErrnoStatus(errno, mark);
}

bool IsMarked(const std::string& path) {
  struct stat info {};
  return lstat(absl::StrCat(path, "/", kMarkName).c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         info.st_uid == geteuid();
}

absl::Status RemoveTree(const std::string& path) {
  std::string root = path;
  char* roots[] = {root.data(), nullptr};
  std::unique_ptr<FTS, int (*)(FTS*)> tree(
      fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, nullptr), fts_close);
  if (!tree) return base::ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  absl::Status first;
  while (FTSENT* entry = fts_read(tree.get())) {
    int error = 0;
    switch (entry->fts_info) {
      case FTS_D:
        break;  // on the way back, when it is empty
      case FTS_DP:
        if (rmdir(entry->fts_accpath) != 0) error = errno;
        break;
      case FTS_DNR:
      case FTS_ERR:
      case FTS_NS:
        error = entry->fts_errno;
        break;
      default:
        if (unlink(entry->fts_accpath) != 0) error = errno;
    }
    if (error != 0 && error != ENOENT && first.ok()) {
      first = base::ErrnoStatus(error, absl::StrCat("cannot remove ", entry->fts_path));
    }
  }
  return first;
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return base::ErrnoStatus(errno, absl::StrCat("cannot remove ", path));
}

}  // namespace clustix::cluster
