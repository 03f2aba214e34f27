// SPDX-License-Identifier: Apache-2.0
//
// The directory that a running daemon owns: its admin socket and its mount point, and the lock that
// says that it runs. What a killed daemon left there is cleaned away by the next. One thread.
#ifndef CLUSTIX_DAEMON_RUNTIME_DIR_H_
#define CLUSTIX_DAEMON_RUNTIME_DIR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::daemon {

class RuntimeDir {
 public:
  // Makes the directory and its parents where they are missing, and takes it. kAlreadyExists:
  // another daemon runs there.
  static absl::StatusOr<std::unique_ptr<RuntimeDir>> Acquire(const std::string& path);
  // Removes the daemon's files and, if nothing else is in it, the directory. A mount point that was
  // there before stays: `clustix shell` holds on to it, to see what the next daemon mounts there.
  ~RuntimeDir();
  RuntimeDir(const RuntimeDir&) = delete;
  RuntimeDir& operator=(const RuntimeDir&) = delete;

  const std::string& path() const { return path_; }
  std::string socket_path() const;
  // For callers of programs on other nodes, and where their sessions come from.
  std::string exec_socket_path() const;
  std::string starter_path() const { return path_ + "/starter.sock"; }
  std::string sets_socket_path() const { return path_ + "/sets.sock"; }
  std::string proc_path() const { return path_ + "/proc"; }
  std::string local_proc_path() const { return path_ + "/localproc"; }

  // Makes the mount point for the cluster's /proc, if it is not there.
  absl::Status MakeProc();
  // The same for the place where `clustix shell` keeps the /proc that it covers.
  absl::Status MakeLocalProc();

 private:
  RuntimeDir(std::string path, base::UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string lock_path() const { return path_ + "/clustixd.lock"; }

  std::string path_;
  base::UniqueFd lock_;
  bool made_proc_ = false;
  bool made_local_proc_ = false;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_RUNTIME_DIR_H_
