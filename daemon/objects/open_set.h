// SPDX-License-Identifier: Apache-2.0
//
// A set that programs of this node have open, and what they have asked of it. Plain values; the
// loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_OPEN_SET_H_
#define CLUSTIX_DAEMON_OBJECTS_OPEN_SET_H_

#include <cstdint>

#include "daemon/objects/set_definition.h"

namespace clustix::daemon {

struct OpenSet {
  SetDefinition definition;
  uint32_t clients = 0;
  bool removed = false;
  uint64_t growing_bytes = 0;  // that writes under way may add to what this node has of it
  // What programs have asked the daemon for; what they find in the arena, nobody counts.
  uint64_t gets = 0, grabs = 0, writes = 0, removals = 0, failures = 0;
  // Objects that were lent, and what was written to them while they were.
  uint64_t loans = 0, lent_writes = 0;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_OPEN_SET_H_
