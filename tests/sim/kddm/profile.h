// SPDX-License-Identifier: Apache-2.0
//
// What kind of world a seed stands for. Pure.
#ifndef CLUSTIX_TESTS_SIM_KDDM_PROFILE_H_
#define CLUSTIX_TESTS_SIM_KDDM_PROFILE_H_

#include <cstdint>
#include <vector>

#include "lib/base/prng.h"
#include "lib/kddm/ids.h"
#include "tests/sim/scheduler.h"

namespace clustix::sim {

struct Profile {
  explicit Profile(base::Prng prng);

  NodeId nodes = 3;
  size_t clients_per_node = 1;
  std::vector<kddm::ObjectKey> objects;
  size_t calls_per_object = 40;
  TimeNs delay_min = 0, delay_max = 0;  // of a message
  uint64_t slow_in_100 = 0;             // messages that take ten times as long
  TimeNs think_max = 0;
  TimeNs hold_max = 0;  // how long clients hold
  TimeNs max_hold = 0;  // after which they are revoked
  uint64_t cancel_in_100 = 0;
  uint64_t write_in_100 = 50;
  uint64_t large_in_100 = 0;       // values that travel on the bulk lane
  size_t budget_bytes = SIZE_MAX;  // of a node's store; if it may not do, nothing fails
  TimeNs pressure_interval = 0;    // at which some node drops what it can; 0: never
  bool short_story = false;        // few enough calls in all to be judged as a whole
  TimeNs faults_end = 0;
  TimeNs fault_interval = 0;   // 0: no faults
  TimeNs down_min = 0;         // of a node that failed
  bool one_at_a_time = false;  // the next fault waits until the last one's damage is repaired
  bool joins = false;          // some nodes come late
  size_t watches_per_node = 0;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_KDDM_PROFILE_H_
