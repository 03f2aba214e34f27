// SPDX-License-Identifier: Apache-2.0
//
// What is measured of single operations: each in a state of the object that decides what it costs.
// Plain values.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_SCENARIO_H_
#define CLUSTIX_TESTS_BENCH_KDDM_SCENARIO_H_

#include <cstdint>
#include <vector>

#include "tests/bench/kddm/world.h"

namespace clustix::bench {

inline constexpr NodeId kSelf = 1;        // who does what is measured
inline constexpr NodeId kRemoteHome = 2;  // the home of objects that are not at home there
inline constexpr NodeId kThird = 3;

struct Scenario {
  enum class Before : uint8_t {
    kNothing,        // there is no such object
    kAtHome,         // its home has written it
    kHere,           // and this node has read it
    kElsewhere,      // and a third node has read it
    kEverywhere,     // and all nodes have read it
    kAloneElsewhere  // a third node has written it, and has the only copy
  };
  const char* name;
  Op op;
  Before before;

  // Only volatile objects are anywhere but at home alone.
  kddm::Durability durability() const {
    return before == Before::kAloneElsewhere ? kddm::Durability::kVolatile
                                             : kddm::Durability::kReplicas2;
  }
};

// The cases of get, grab and remove, and of put.
const std::vector<Scenario>& Scenarios();

// Puts fresh objects into the state, and does and times the operation on each.
absl::Status Run(World& world, NodeId nodes, const Scenario& scenario,
                 std::span<const kddm::ObjectId> objects, NodeId home, size_t bytes,
                 Histogram* latency);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_SCENARIO_H_
