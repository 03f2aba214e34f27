// SPDX-License-Identifier: Apache-2.0
//
// Where sessions come from. The daemon has threads, secrets and, as a service, few rights: it
// starts no program of anybody. It connects to a socket behind which every connection becomes a
// session (session.h). Who listens there is either the service manager, which makes a process with
// full rights for each connection (clustixd-session.socket), or this: one process with a single
// thread, made as the daemon starts, which forks for each connection and ends with the daemon.
//
// On the thread of the daemon that makes it.
#ifndef CLUSTIX_DAEMON_REMOTE_STARTER_H_
#define CLUSTIX_DAEMON_REMOTE_STARTER_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::remote {

// argv[1] of a clustixd that is no daemon. Not for people, hence not in its help.
inline constexpr const char* kStarterArgument = "--starter-process";
inline constexpr const char* kSessionArgument = "--session-process";

class Starter {
 public:
  // Listens at `socket_path`, for this user alone, and starts the process.
  static absl::StatusOr<std::unique_ptr<Starter>> Start(const std::string& socket_path);
  // Ends the process, and reaps it; sessions end as their connections do.
  ~Starter();

  // Starts the process again if it has ended; connections wait for it meanwhile.
  absl::Status EnsureRunning();

 private:
  Starter(std::string path, base::UniqueFd listener)
      : path_(std::move(path)), listener_(std::move(listener)) {}
  absl::Status Spawn();

  const std::string path_;
  base::UniqueFd listener_;
  base::UniqueFd lifeline_;  // its other end is the process's: closed when the daemon is gone
  pid_t pid_ = -1;
};

// main() of the process.
int RunStarter();

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_STARTER_H_
