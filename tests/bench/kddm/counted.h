// SPDX-License-Identifier: Apache-2.0
//
// The engines of a whole cluster in one process, whose messages are delivered in order and counted:
// what an operation costs in messages, whatever the machine. One thread.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_COUNTED_H_
#define CLUSTIX_TESTS_BENCH_KDDM_COUNTED_H_

#include <deque>
#include <memory>
#include <vector>

#include "lib/kddm/engine.h"
#include "lib/kddm/store.h"
#include "tests/bench/kddm/world.h"

namespace clustix::bench {

// Of one operation.
struct Cost {
  uint64_t hops = 0;      // messages one after the other before it ended
  uint64_t messages = 0;  // all, with those that followed its end
  uint64_t bytes = 0;     // of these, on the wire without the messenger's headers
};

class Counted : public World {
 public:
  explicit Counted(NodeId nodes);
  absl::Status Do(const Work& work, Histogram* latency) override;
  // Of the last operation.
  const Cost& cost() const { return cost_; }

 private:
  struct Node {
    std::unique_ptr<kddm::HeapStore> store;
    std::unique_ptr<kddm::Engine> engine;
  };
  struct Queued {
    NodeId from, to;
    kddm::Message message;
    uint64_t depth;  // messages on the way to this one, itself included
  };

  // Runs one operation to its end and to that of all that follows.
  kddm::Completion Run(NodeId node, kddm::Operation operation);
  kddm::Completion RunPut(NodeId node, kddm::OpId hold, kddm::Data data);
  void Begin();
  void Deliver();
  void Collect(NodeId node, uint64_t depth);

  std::vector<Node> nodes_;  // by id - 1
  std::deque<Queued> queue_;
  kddm::OpId op_ = 0;
  kddm::Completion completion_;
  Cost cost_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_COUNTED_H_
