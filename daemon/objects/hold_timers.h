// SPDX-License-Identifier: Apache-2.0
//
// When holds that others wait for are to end. An object that is passed around has a new timer at
// each turn, and hardly any is ever due: so an object has one entry, whatever number of timers the
// engine has asked for, and all share one timer of the loop. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_HOLD_TIMERS_H_
#define CLUSTIX_DAEMON_OBJECTS_HOLD_TIMERS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "lib/io/io.h"
#include "lib/kddm/ids.h"
#include "lib/kddm/outbox.h"

namespace clustix::daemon {

class HoldTimers {
 public:
  // `due` is called for each timer when its `delay_ns` is over. `loop` must outlive this.
  HoldTimers(io::Loop& loop, uint64_t delay_ns, std::function<void(const kddm::HoldTimer&)> due)
      : loop_(loop), delay_ns_(delay_ns), due_(std::move(due)) {}
  ~HoldTimers() { Stop(); }
  HoldTimers(const HoldTimers&) = delete;
  HoldTimers& operator=(const HoldTimers&) = delete;

  // In place of the object's earlier one, of which the engine knows no more. O(1).
  void Arm(const kddm::HoldTimer& timer);
  // Forgets all.
  void Stop();
  // Of how many objects there are timers.
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    kddm::HoldTimer timer;
    io::TimeNs at;
  };
  struct KeyHash {
    size_t operator()(const kddm::ObjectKey& key) const { return kddm::HashKey(key); }
  };
  void Await();
  void Pass();

  io::Loop& loop_;
  const uint64_t delay_ns_;
  const std::function<void(const kddm::HoldTimer&)> due_;
  std::list<Entry> entries_;  // as they are due: all have the same delay
  absl::flat_hash_map<kddm::ObjectKey, std::list<Entry>::iterator, KeyHash> of_object_;
  io::TimerId loop_timer_ = 0;  // at the latest when the first is due; 0: there is none
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_HOLD_TIMERS_H_
