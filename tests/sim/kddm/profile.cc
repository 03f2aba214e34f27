// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/profile.h"

#include "tests/sim/kddm/history.h"

namespace clustix::sim {

Profile::Profile(base::Prng prng) {
  using kddm::Durability, kddm::Placement;
  nodes = static_cast<NodeId>(prng.Between(2, 7));
  clients_per_node = prng.Between(1, 3);
  const size_t count = prng.Between(1, 4);
  // Most worlds have one kind of set, some mix them.
  const bool mixed = prng.Chance(1, 4);
  static constexpr Durability kKinds[] = {Durability::kVolatile, Durability::kReplicas2,
                                          Durability::kReplicas2, Durability::kReplicas3,
                                          Durability::kLinked};
  Durability durability = kKinds[prng.Below(5)];
  for (size_t i = 0; i < count; ++i) {
    if (mixed) durability = kKinds[prng.Below(5)];
    const Placement placement = static_cast<Placement>(prng.Chance(1, 4) ? prng.Between(1, 2) : 0);
    const NodeId at = static_cast<NodeId>(prng.Between(1, nodes));
    kddm::ObjectKey key;
    key.set = kddm::MakeSetId(durability, placement, at, 7);
    key.object = static_cast<uint64_t>(at) << 48 | prng.Below(1000) << 8 | i;
    objects.push_back(key);
  }
  calls_per_object = prng.Between(15, 50);
  delay_min = prng.Between(1, 50) * kUs;
  delay_max = delay_min + prng.Between(1, 500) * kUs;
  slow_in_100 = prng.Chance(1, 2) ? prng.Between(1, 20) : 0;
  think_max = prng.Between(10, 3000) * kUs;
  hold_max = prng.Between(10, 2000) * kUs;
  max_hold = prng.Between(500, 3000) * kUs;
  cancel_in_100 = prng.Chance(1, 2) ? prng.Between(1, 15) : 0;
  write_in_100 = prng.Between(20, 80);
  large_in_100 = prng.Chance(1, 3) ? prng.Between(10, 60) : 0;
  faults_end = prng.Between(10, 60) * kMs;
  if (prng.Chance(4, 5)) fault_interval = prng.Between(2, 20) * kMs;
  one_at_a_time = prng.Chance(1, 2);
  joins = prng.Chance(1, 4);
  // Holds that outlast the failure and the return of whoever waits for them.
  if (prng.Chance(1, 4)) {
    hold_max = prng.Between(2, 30) * kMs;
    max_hold = prng.Between(2, 30) * kMs;
  }
  down_min = prng.Chance(1, 2) ? 3 * kMs : prng.Between(1, 1000) * kUs;
  short_story = prng.Chance(1, 8);
  if (prng.Chance(1, 5)) {
    budget_bytes = prng.Between(100, 14'000);
    large_in_100 = prng.Between(10, 60);
  }
  if (prng.Chance(1, 3)) pressure_interval = prng.Between(50, 3000) * kUs;
  if (short_story) calls_per_object = prng.Between(3, kSequentialCallsMax / count);
  if (prng.Chance(1, 4)) watches_per_node = prng.Between(1, 3);
}

}  // namespace clustix::sim
