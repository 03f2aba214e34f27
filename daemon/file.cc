// SPDX-License-Identifier: Apache-2.0
#include "daemon/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

// After a rename, so that the new name survives a power cut. A file system that cannot is no
// reason to fail: the file itself is synced.
void SyncFolderOf(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  base::UniqueFd fd(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) fsync(fd.get());
}

}  // namespace

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t bytes_max,
                                          Writers writers) {
  // O_NONBLOCK: opening a FIFO by mistake must not wait for a writer.
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return base::ErrnoStatus(errno, path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return base::ErrnoStatus(errno, path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  const bool own = info.st_uid == 0 || info.st_uid == geteuid();
  if (writers == Writers::kOwnerAlone && (!own || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": others may write it (try: chown root ",
                                                    path, "; chmod go-w ", path, ")"));
  }
  std::string text(bytes_max + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    ssize_t got = read(fd.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::ErrnoStatus(errno, path);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": larger than ", bytes_max, " bytes, the most that makes sense here"));
  }
  text.resize(size);
  return text;
}

absl::StatusOr<NewFile> NewFile::Create(const std::string& path, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  base::UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600 until fchmod()
  if (!fd.valid()) return base::ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  NewFile file(path, temporary, std::move(fd));
  if (fchmod(file.fd_.get(), mode) != 0) return base::ErrnoStatus(errno, path);
  return file;
}

NewFile::~NewFile() {
  if (fd_.valid()) unlink(temporary_.c_str());
}

absl::Status NewFile::Write(std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(fd_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return base::ErrnoStatus(errno, absl::StrCat("cannot write ", path_));
    text.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd_.get()) != 0) return base::ErrnoStatus(errno, absl::StrCat("cannot write ", path_));
  return absl::OkStatus();
}

absl::Status NewFile::Commit(bool replace) {
  // link() and not rename() where nothing may be replaced: it is atomic on every file system that
  // has it, which renameat2(RENAME_NOREPLACE) is not.
  int result =
      replace ? rename(temporary_.c_str(), path_.c_str()) : link(temporary_.c_str(), path_.c_str());
  if (result != 0) return base::ErrnoStatus(errno, path_);
  if (!replace) unlink(temporary_.c_str());
  fd_.Reset();
  SyncFolderOf(path_);
  return absl::OkStatus();
}

}  // namespace clustix::daemon
