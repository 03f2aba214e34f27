// SPDX-License-Identifier: Apache-2.0
//
// Where operations on objects can be done and timed: by programs of real daemons (Programs), by
// daemons themselves (Members), by engines whose messages are counted (Counted). One thread.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_WORLD_H_
#define CLUSTIX_TESTS_BENCH_KDDM_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "clustix/messenger.h"
#include "lib/kddm/copy.h"
#include "lib/kddm/ids.h"
#include "tests/bench/msg/histogram.h"

namespace clustix::bench {

enum class Op : uint8_t {
  kGet,
  kSet,
  kGrab,  // is let go again; that is not timed
  kPut,   // is grabbed before; that is not timed
  kRemove,
};
// What begins it: a put, with its grab.
inline kddm::OpKind KindOf(Op op) {
  switch (op) {
    case Op::kGet:
      return kddm::OpKind::kGet;
    case Op::kSet:
      return kddm::OpKind::kSet;
    case Op::kRemove:
      return kddm::OpKind::kRemove;
    case Op::kGrab:
    case Op::kPut:
      break;
  }
  return kddm::OpKind::kGrab;
}

// The same operation on each of some objects, one after the other.
struct Work {
  NodeId node = 0;
  Op op = Op::kGet;
  kddm::Durability durability = kddm::Durability::kReplicas2;  // of the set
  std::span<const kddm::ObjectId> objects = {};
  size_t bytes = 0;     // of a value that is written
  bool absent = false;  // there are no such objects: anything else is an error
};

class World {
 public:
  virtual ~World() = default;
  // Ends early when the run is to end. `latency` may be nullptr. Errors: an operation that ended
  // otherwise than it must.
  virtual absl::Status Do(const Work& work, Histogram* latency) = 0;
};

// The objects of a benchmark are at home where their number says.
inline kddm::ObjectId ObjectAt(NodeId home, uint64_t serial) {
  return static_cast<kddm::ObjectId>(home) << 48 | serial;
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_WORLD_H_
