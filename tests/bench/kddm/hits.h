// SPDX-License-Identifier: Apache-2.0
//
// What is over in nanoseconds: reading what is cached, next to the same in a map of the process.
// Clocks are too slow for one of these; they are timed in batches. One thread.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_HITS_H_
#define CLUSTIX_TESTS_BENCH_KDDM_HITS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/sets.h"
#include "tests/bench/msg/histogram.h"

namespace clustix::bench {

// What a loop of batches measured; the times in `latency` are of one operation each.
struct Timing {
  Histogram latency;
  uint64_t operations = 0;
  uint64_t spent_ns = 0;
};

// Objects of 8 bytes that this node has alone, and the same in a map behind a std::shared_mutex.
class Hits {
 public:
  // Writes the objects, some at a time. The set is volatile, and they are at home here.
  static absl::StatusOr<std::unique_ptr<Hits>> Make(const ObjectSet& set, size_t objects);
  ~Hits();

  // One object or all of them, drawn at random.
  absl::StatusOr<Timing> Get(bool uniform, uint64_t duration_ns);
  absl::StatusOr<Timing> GetOfMap(bool uniform, uint64_t duration_ns);
  // Grabs and puts one, which is none of them: it is lent to this program, and so not cached.
  absl::StatusOr<Timing> Update(uint64_t duration_ns);

 private:
  struct Map;
  Hits(const ObjectSet& set, size_t objects);
  const std::vector<ObjectId>& Ids(bool uniform) const { return uniform ? all_ : one_; }

  const TypedSet<uint64_t> set_;
  std::unique_ptr<Map> map_;
  const ObjectId written_;
  std::vector<ObjectId> one_, all_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_HITS_H_
