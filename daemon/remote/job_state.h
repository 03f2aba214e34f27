// SPDX-License-Identifier: Apache-2.0
//
// How a job stands, by what was written of it and by the processes there are. Pure.
#ifndef CLUSTIX_DAEMON_REMOTE_JOB_STATE_H_
#define CLUSTIX_DAEMON_REMOTE_JOB_STATE_H_

#include <cstdint>

#include "daemon/remote/job.h"
#include "lib/proc/snapshot.h"

namespace clustix::remote {

enum class JobState : uint8_t {
  kRunning,
  kExited,   // Job::code
  kKilled,   // by Job::signal
  kGone,     // it runs no more, and how it ended was not written: its node failed, or object sets
  kUnknown,  // its node does not answer
};
// "running", "exited", "killed", "gone", "unknown".
const char* JobStateName(JobState state);

// A job that began less than this before `now_ms` may not be in `cluster` yet.
inline constexpr int64_t kJobSeenMs = 2000;
JobState StateOf(const Job& job, const proc::ClusterSnapshot& cluster, int64_t now_ms);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_JOB_STATE_H_
