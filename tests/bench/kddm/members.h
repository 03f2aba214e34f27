// SPDX-License-Identifier: Apache-2.0
//
// Operations as the services of a daemon do them: nodes of this process, each a loop on a thread of
// its own with the messenger and the driver of a daemon, joined by TCP on the loopback interface.
// What a program adds, the way to its daemon and back, is not in their figures. The caller's thread
// is not one of theirs.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_MEMBERS_H_
#define CLUSTIX_TESTS_BENCH_KDDM_MEMBERS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/kddm/world.h"

namespace clustix::bench {

class Members : public World {
 public:
  static absl::StatusOr<std::unique_ptr<Members>> Start(NodeId nodes);
  ~Members() override;

  absl::Status Do(const Work& work, Histogram* latency) override;

 private:
  class Node;
  Members();

  std::vector<std::unique_ptr<Node>> nodes_;  // by id - 1
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_MEMBERS_H_
