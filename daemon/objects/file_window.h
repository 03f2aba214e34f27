// SPDX-License-Identifier: Apache-2.0
//
// A file as objects of one size. Blocks; any thread, several at once.
#ifndef CLUSTIX_DAEMON_OBJECTS_FILE_WINDOW_H_
#define CLUSTIX_DAEMON_OBJECTS_FILE_WINDOW_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/base/unique_fd.h"
#include "lib/kddm/ids.h"

namespace clustix::daemon {

class FileWindow {
 public:
  // The file is opened by the first of the functions below, with the rights of this user and group;
  // without root's rights, the user must be the daemon's own.
  FileWindow(std::string path, uid_t uid, gid_t gid, size_t object_bytes)
      : path_(std::move(path)), uid_(uid), gid_(gid), object_bytes_(object_bytes) {}

  // nullptr: the file ends before it.
  absl::StatusOr<kddm::Data> Read(uint64_t object);
  absl::Status Write(uint64_t object, const kddm::Data& data);
  absl::Status Remove(uint64_t object);
  // Returns when all that was written is on the disk.
  absl::Status Sync();

 private:
  absl::StatusOr<int> Fd();
  absl::StatusOr<off_t> OffsetOf(uint64_t object) const;

  const std::string path_;
  const uid_t uid_;
  const gid_t gid_;
  const size_t object_bytes_;
  base::Mutex mutex_;  // held while the file is opened
  base::UniqueFd fd_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_FILE_WINDOW_H_
