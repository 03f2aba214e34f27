// SPDX-License-Identifier: Apache-2.0
//
// Litmus tests (Collier 1992; Alglave et al. 2011): a few nodes run a few steps each on a few
// objects, in a world drawn from a seed, and what their reads saw is the outcome. Beside it the
// outcomes that one order of all steps allows, found by trying every order. One thread.
#ifndef CLUSTIX_TESTS_SIM_KDDM_LITMUS_H_
#define CLUSTIX_TESTS_SIM_KDDM_LITMUS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/kddm/ids.h"
#include "tests/sim/kddm/history.h"

namespace clustix::sim {

struct LitmusStep {
  enum class What : uint8_t {
    kRead,
    kWrite,      // a set, or a grab and a put
    kIncrement,  // a grab and a put of one more than it saw
  };
  What what = What::kRead;
  size_t object = 0;
  Value value = 0;  // kWrite
};

// Threads run on nodes of their own. All objects begin with 0.
struct Litmus {
  std::vector<std::vector<LitmusStep>> threads;
  bool finals = false;  // the objects' last values are part of the outcome
};

// What each read and increment saw, thread by thread; then the last values.
using Outcome = std::vector<Value>;
using Outcomes = std::set<Outcome>;

enum class LitmusFault : uint8_t {
  kNone,
  kCrash,      // of a node that runs none of the threads, and may be the objects' home
  kPartition,  // for a while, of any node
};

// Every outcome that some order of the steps has which keeps the order of each thread.
Outcomes SequentialOutcomes(const Litmus& litmus);

// nullopt: a step did not end.
std::optional<Outcome> RunLitmus(const Litmus& litmus, kddm::Durability durability,
                                 LitmusFault fault, uint64_t seed);

std::string Describe(const Outcome& outcome);

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_KDDM_LITMUS_H_
