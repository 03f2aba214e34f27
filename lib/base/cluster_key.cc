// SPDX-License-Identifier: Apache-2.0
#include "lib/base/cluster_key.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include "lib/base/hex.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::base {
namespace {

constexpr size_t kKeyDigits = 2 * sizeof(ClusterKey);

absl::Status CheckPermissions(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the cluster key is no regular file"));
  }
  if ((info.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": others than its owner can use the cluster key: its mode is ", mode,
                     ", expected 0600 (chmod 600 ", path, ")"));
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        path, ": the cluster key belongs to uid ", info.st_uid, ", expected this user (", geteuid(),
        ") or root: whoever owns it can change it (chown ", geteuid(), " ", path, ")"));
  }
  return absl::OkStatus();
}

absl::Status CannotRead(int error, const std::string& path) {
  const char* advice = "";
  if (error == ENOENT) advice = " (clustix init makes it; each node needs the same: copy it)";
  if (error == EACCES) advice = " (it is for its owner alone: run as that user, or as root)";
  absl::Status status = ErrnoStatus(error, absl::StrCat("cannot read the cluster key ", path));
  return absl::Status(status.code(), absl::StrCat(status.message(), advice));
}

}  // namespace

absl::StatusOr<ClusterKey> LoadKey(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return CannotRead(errno, path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, path);
  RETURN_IF_ERROR(CheckPermissions(path, info));

  char text[kKeyDigits + 2];  // room for a newline, and for noticing that there is more
  ssize_t size = read(fd.get(), text, sizeof(text));
  if (size < 0) return ErrnoStatus(errno, path);
  std::string_view digits(text, static_cast<size_t>(size));
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  absl::StatusOr<std::vector<uint8_t>> bytes = HexDecode(digits);
  if (digits.size() != kKeyDigits || !bytes.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": no cluster key: expected ", kKeyDigits,
                     " hexadecimal digits on one line, as `clustix init` makes them"));
  }
  ClusterKey key;
  std::copy(bytes->begin(), bytes->end(), key.begin());
  explicit_bzero(bytes->data(), bytes->size());
  explicit_bzero(text, sizeof(text));
  return key;
}

}  // namespace clustix::base
