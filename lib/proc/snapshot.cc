// SPDX-License-Identifier: Apache-2.0
#include "lib/proc/snapshot.h"

#include <algorithm>
#include <utility>

namespace clustix::proc {

const ProcessRecord* FindProcess(const NodeSnapshot& node, int32_t pid) {
  const auto at = std::lower_bound(
      node.processes.begin(), node.processes.end(), pid,
      [](const ProcessRecord& process, int32_t wanted) { return process.pid < wanted; });
  return at != node.processes.end() && at->pid == pid ? &*at : nullptr;
}

bool IsSeenBy(const ProcessRecord& process, uint32_t uid, uint32_t gid) {
  if (!process.hidden || uid == 0) return true;
  if (process.seen_by_gid != UINT32_MAX && process.seen_by_gid == gid) return true;
  return process.seen_by_owner && process.uid == uid && process.gid == gid;
}

std::shared_ptr<const ClusterSnapshot> SeenBy(std::shared_ptr<const ClusterSnapshot> cluster,
                                              uint32_t uid, uint32_t gid) {
  if (!cluster->hides || uid == 0) return cluster;
  auto seen = std::make_shared<ClusterSnapshot>(*cluster);
  for (NodeView& node : seen->nodes) {
    if (node.snapshot == nullptr || !HidesSome(*node.snapshot)) continue;
    auto shown = std::make_shared<NodeSnapshot>(*node.snapshot);
    std::erase_if(shown->processes, [uid, gid](const ProcessRecord& process) {
      return !IsSeenBy(process, uid, gid);
    });
    node.snapshot = std::move(shown);
  }
  seen->hides = false;
  return seen;
}

bool HidesSome(const NodeSnapshot& node) {
  return std::any_of(node.processes.begin(), node.processes.end(),
                     [](const ProcessRecord& process) { return process.hidden; });
}

}  // namespace clustix::proc
