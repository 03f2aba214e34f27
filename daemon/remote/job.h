// SPDX-License-Identifier: Apache-2.0
//
// What is remembered of a program that was started on a node for a user of another. Plain values;
// any thread.
#ifndef CLUSTIX_DAEMON_REMOTE_JOB_H_
#define CLUSTIX_DAEMON_REMOTE_JOB_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"

namespace clustix::remote {

struct Job {
  uint64_t serial = 0;       // of the user's jobs on that node, from 1 on
  NodeId node = 0;           // where it runs
  NodeId caller = 0;         // the node that asked for it
  pid_t pid = 0;             // as the node counts
  uint64_t start_ticks = 0;  // with the pid, which process: field 22 of /proc/PID/stat
  int64_t started_ms = 0;    // since 1970, by the node's clock
  int64_t ended_ms = 0;      // 0: it runs, as far as was written
  int code = 0;              // how it ended: its exit code,
  int signal = 0;            // or the signal that killed it, if not 0
  std::vector<std::string> argv;

  // "2.17": the node and the serial number.
  std::string Name() const;
};

// As the value of an object. Arguments are cut where they exceed kJobArgvBytesMax together.
inline constexpr size_t kJobArgvBytesMax = 2048;
std::vector<std::byte> EncodeJob(const Job& job);
// kInvalidArgument: it is none.
absl::StatusOr<Job> DecodeJob(std::span<const std::byte> bytes);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_JOB_H_
