// SPDX-License-Identifier: Apache-2.0
//
// Global pids: pure functions, from any thread. Every other file converts through these, so that
// the special values 0 (no such process in this namespace) and -1 (no such group) stay themselves.
#ifndef CLUSTIX_LIB_PROCVIEW_GLOBAL_PID_H_
#define CLUSTIX_LIB_PROCVIEW_GLOBAL_PID_H_

#include <cstdint>

#include "lib/proc/snapshot.h"

namespace clustix::procview {

inline constexpr int32_t kLocalPidMask = (1 << proc::kGlobalPidShift) - 1;
inline constexpr uint16_t kMaxNode = 511;

constexpr int32_t GlobalPid(uint16_t node, int32_t pid) {
  return pid <= 0 ? pid
                  : static_cast<int32_t>((uint32_t{node} << proc::kGlobalPidShift) | uint32_t(pid));
}

// Whom the mounted view names as the parent of a process that has none on its node (its ppid is 0:
// the node's first process, kthreadd). No process has this global pid; pstree, which draws from pid
// 1 on, thereby gathers the trees of all nodes.
inline constexpr int32_t kTopParent = 1;

constexpr int32_t GlobalParent(uint16_t node, int32_t ppid) {
  return ppid == 0 ? kTopParent : GlobalPid(node, ppid);
}

constexpr uint16_t NodeOfGlobalPid(int32_t gpid) {
  return static_cast<uint16_t>(uint32_t(gpid) >> proc::kGlobalPidShift);
}

constexpr int32_t LocalPid(int32_t gpid) { return gpid & kLocalPidMask; }

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_GLOBAL_PID_H_
