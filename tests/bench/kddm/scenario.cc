// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/scenario.h"

#include "lib/base/status.h"

namespace clustix::bench {

const std::vector<Scenario>& Scenarios() {
  using Before = Scenario::Before;
  static const auto* scenarios = new std::vector<Scenario>{
      {"get, no such object", Op::kGet, Before::kNothing},
      {"get, a copy here", Op::kGet, Before::kHere},
      {"get, the home has it", Op::kGet, Before::kAtHome},
      {"get, a third node has it alone", Op::kGet, Before::kAloneElsewhere},
      {"grab, no such object", Op::kGrab, Before::kNothing},
      {"grab, a copy here", Op::kGrab, Before::kHere},
      {"grab, the home has it", Op::kGrab, Before::kAtHome},
      {"grab, a third node reads it", Op::kGrab, Before::kElsewhere},
      {"grab, all nodes read it", Op::kGrab, Before::kEverywhere},
      {"grab, a third node has it alone", Op::kGrab, Before::kAloneElsewhere},
      {"remove, the home has it", Op::kRemove, Before::kAtHome},
      {"remove, a copy here", Op::kRemove, Before::kHere},
      {"remove, all nodes read it", Op::kRemove, Before::kEverywhere},
      {"put, 2 replicas", Op::kPut, Before::kAtHome},
  };
  return *scenarios;
}

absl::Status Run(World& world, NodeId nodes, const Scenario& scenario,
                 std::span<const kddm::ObjectId> objects, NodeId home, size_t bytes,
                 Histogram* latency) {
  using Before = Scenario::Before;
  Work work = {.durability = scenario.durability(), .objects = objects, .bytes = bytes};
  const auto first = [&](NodeId node, Op op) {
    work.node = node;
    work.op = op;
    return world.Do(work, nullptr);
  };
  const Before before = scenario.before;
  if (before == Before::kAloneElsewhere) {
    RETURN_IF_ERROR(first(kThird, Op::kSet));
  } else if (before != Before::kNothing) {
    RETURN_IF_ERROR(first(home, Op::kSet));
  }
  if (before == Before::kHere) RETURN_IF_ERROR(first(kSelf, Op::kGet));
  if (before == Before::kElsewhere) RETURN_IF_ERROR(first(kThird, Op::kGet));
  if (before == Before::kEverywhere) {
    for (NodeId node = 1; node <= nodes; ++node) RETURN_IF_ERROR(first(node, Op::kGet));
  }
  work.node = kSelf;
  work.op = scenario.op;
  work.absent = before == Before::kNothing;
  return world.Do(work, latency);
}

}  // namespace clustix::bench
