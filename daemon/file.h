// SPDX-License-Identifier: Apache-2.0
//
// Small files, read whole and written whole. Blocking; any thread, never the loop's.
#ifndef CLUSTIX_DAEMON_FILE_H_
#define CLUSTIX_DAEMON_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::daemon {

enum class Writers : uint8_t { kAnybody, kOwnerAlone };

// kInvalidArgument if it is no regular file or larger than `bytes_max`. kPermissionDenied, for
// kOwnerAlone, if others than root and this process's user may write it.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t bytes_max,
                                          Writers writers = Writers::kAnybody);

// A file that comes into being complete or not at all: it is written beside its place, synced, and
// moved there by Commit(). Without Commit() nothing is left of it.
class NewFile {
 public:
  static absl::StatusOr<NewFile> Create(const std::string& path, mode_t mode);
  NewFile(NewFile&& other) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  // Writes everything and syncs it: a full disk is reported here, before anything is replaced.
  absl::Status Write(std::string_view text);
  // kAlreadyExists if the file is there and `replace` is false.
  absl::Status Commit(bool replace);

 private:
  NewFile(std::string path, std::string temporary, base::UniqueFd fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

  std::string path_;
  std::string temporary_;
  base::UniqueFd fd_;  // not valid: committed or moved from
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_FILE_H_
