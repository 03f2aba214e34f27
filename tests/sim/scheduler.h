// SPDX-License-Identifier: Apache-2.0
//
// Simulated time: a queue of things to happen. The whole simulation runs on one thread, and two
// things due at the same moment happen in the order in which they were scheduled, so that a seed
// always tells the same story.
#ifndef CLUSTIX_TESTS_SIM_SCHEDULER_H_
#define CLUSTIX_TESTS_SIM_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "lib/io/io.h"

namespace clustix::sim {

using io::TimeNs;

inline constexpr TimeNs kUs = 1000;
inline constexpr TimeNs kMs = 1000 * kUs;
inline constexpr TimeNs kSecond = 1000 * kMs;

class Scheduler {
 public:
  // Not zero, so that code that takes a time of 0 for "never" is found out.
  explicit Scheduler(TimeNs start) : now_(start) {}

  TimeNs Now() const { return now_; }
  uint64_t executed() const { return executed_; }

  // Runs `task` at `when`, or now if that has passed. O(log n).
  void At(TimeNs when, std::function<void()> task);
  void After(TimeNs delay, std::function<void()> task) { At(now_ + delay, std::move(task)); }

  // Runs everything that is due up to and including `until`, while `proceed` answers true; then it
  // is `until`.
  void RunUntil(TimeNs until, const std::function<bool()>& proceed);

 private:
  struct Event {
    TimeNs when;
    uint64_t order;
    std::function<void()> task;
  };
  static bool Later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }

  TimeNs now_;
  uint64_t next_order_ = 0;
  uint64_t executed_ = 0;
  std::vector<Event> heap_;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_SCHEDULER_H_
