// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/job_state.h"

#include <algorithm>

#include "lib/procview/process_stat.h"

namespace clustix::remote {
namespace {

bool Runs(const Job& job, const proc::NodeSnapshot& node) {
  const auto found = std::lower_bound(
      node.processes.begin(), node.processes.end(), job.pid,
      [](const proc::ProcessRecord& process, int32_t pid) { return process.pid < pid; });
  if (found == node.processes.end() || found->pid != job.pid) return false;
  const auto stat = procview::ParseProcessStat(found->stat);
  return stat.ok() && stat->starttime_ticks == job.start_ticks;
}

}  // namespace

const char* JobStateName(JobState state) {
  switch (state) {
    case JobState::kRunning:
      return "running";
    case JobState::kExited:
      return "exited";
    case JobState::kKilled:
      return "killed";
    case JobState::kGone:
      return "gone";
    case JobState::kUnknown:
      return "unknown";
  }
  return "?";
}

JobState StateOf(const Job& job, const proc::ClusterSnapshot& cluster, int64_t now_ms) {
  if (job.ended_ms != 0) return job.signal != 0 ? JobState::kKilled : JobState::kExited;
  const auto node =
      std::find_if(cluster.nodes.begin(), cluster.nodes.end(),
                   [&job](const proc::NodeView& view) { return view.node == job.node; });
  if (node == cluster.nodes.end() || node->stale || node->snapshot == nullptr) {
    return JobState::kUnknown;
  }
  if (Runs(job, *node->snapshot)) return JobState::kRunning;
  return now_ms - job.started_ms < kJobSeenMs ? JobState::kRunning : JobState::kGone;
}

}  // namespace clustix::remote
