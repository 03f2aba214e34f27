// SPDX-License-Identifier: Apache-2.0
//
// What wakes the other process: one byte through a socket pair that daemon and client have of their
// own. Not an eventfd, though it is cheaper: its two users share one file description, so that a
// client could make it blocking and then fill or drain it while the daemon is about to write or
// read. A socket has flags for each call, and says when the other process is gone. Not a futex, on
// which nobody can wait together with that. Ring() any thread; the rest the thread that waits.
#ifndef CLUSTIX_LIB_CACHE_BELL_H_
#define CLUSTIX_LIB_CACHE_BELL_H_

#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::cache {

class Bell {
 public:
  Bell() = default;
  explicit Bell(base::UniqueFd fd) : fd_(std::move(fd)) {}
  // The two ends. Each rings the other.
  static absl::StatusOr<std::pair<Bell, Bell>> CreatePair();

  // Never blocks.
  void Ring() const;
  // Readable once the other end has rung, or is gone.
  const base::UniqueFd& fd() const { return fd_; }
  // Tells both ends that this one is gone, though its descriptor stays. Any thread.
  void Close() const;
  // Makes this end quiet again, without blocking. False: the other end is gone.
  bool Silence() const;

 private:
  base::UniqueFd fd_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_BELL_H_
