// SPDX-License-Identifier: Apache-2.0
//
// Operations as programs do them: a session with the daemon of each node, through the public API.
// One thread.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_PROGRAMS_H_
#define CLUSTIX_TESTS_BENCH_KDDM_PROGRAMS_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/sets.h"
#include "tests/bench/kddm/world.h"

namespace clustix::bench {

class Programs : public World {
 public:
  // Node i + 1 is that of sockets[i]. Makes the sets.
  static absl::StatusOr<std::unique_ptr<Programs>> Connect(const std::vector<std::string>& sockets);

  absl::Status Do(const Work& work, Histogram* latency) override;
  const ObjectSet& set(NodeId node, kddm::Durability durability) const {
    const Node& of = nodes_[node - 1u];
    return durability == kddm::Durability::kVolatile ? of.solitary : of.replicated;
  }

 private:
  struct Node {
    clustix::Client client;
    ObjectSet replicated, solitary;
  };
  std::vector<Node> nodes_;
};

absl::Status WrongOutcome(const char* what, SetOutcome outcome);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_PROGRAMS_H_
