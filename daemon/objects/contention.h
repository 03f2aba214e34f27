// SPDX-License-Identifier: Apache-2.0
//
// For which objects nodes contend, as their home sees it: each time another node than the last one
// asks to write an object, the object moves. What is kept is bounded: an object that moves often
// displaces those that do so rarely, or did.
//
// Times are nanoseconds of the caller's clock. One thread: the loop's.
#ifndef CLUSTIX_DAEMON_OBJECTS_CONTENTION_H_
#define CLUSTIX_DAEMON_OBJECTS_CONTENTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/kddm/ids.h"

namespace clustix::daemon {

class Contention {
 public:
  struct Hot {
    kddm::ObjectKey key;
    double transfers_per_second = 0;
  };
  // Rates are means over about so long, what is recent counting for more.
  static constexpr double kSeconds = 3;
  // Below that it is no contention.
  static constexpr double kRateMin = 0.1;

  // `writer` asks to write the object, as far as it has to ask its home.
  void OnWrite(const kddm::ObjectKey& key, NodeId writer, uint64_t now_ns);
  // Those that moved lately, in no order.
  std::vector<Hot> Hottest(uint64_t now_ns) const;

 private:
  struct Entry {
    kddm::ObjectKey key;
    NodeId writer = kddm::kNoNode;  // kNoNode: free
    uint64_t at_ns = 0;             // when `moves` and `writes` were what they are
    // Both fade by a factor of e in kSeconds.
    double moves = 0;
    double writes = 0;
  };
  // As a cache has them: an object stands in one place of its set, and a new one displaces the one
  // that is written least.
  static constexpr size_t kSets = 512, kWays = 4;

  static void Fade(Entry& entry, uint64_t now_ns);

  std::array<std::array<Entry, kWays>, kSets> sets_{};
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_CONTENTION_H_
