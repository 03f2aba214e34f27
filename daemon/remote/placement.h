// SPDX-License-Identifier: Apache-2.0
//
// Where `clustix run` starts a program. Pure; any thread.
#ifndef CLUSTIX_DAEMON_REMOTE_PLACEMENT_H_
#define CLUSTIX_DAEMON_REMOTE_PLACEMENT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "lib/proc/snapshot.h"

namespace clustix::remote {

struct Placement {
  uint16_t node = 0;
  std::string name;
  double load_per_cpu = 0;
};

// The node with the smallest load average of the last minute per processor. Of equals, the one that
// asks, whose programs need no network, and then the one with the smallest id. Only nodes that
// answer now and tell both count. kUnavailable: there is none.
absl::StatusOr<Placement> LeastLoaded(const std::vector<proc::NodeSummary>& nodes);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_PLACEMENT_H_
