// SPDX-License-Identifier: Apache-2.0
//
// When operations are to end that have a time limit. Nearly all end long before, so that beginning
// and ending one is what must cost little: those of the same millisecond share an entry, and all
// share one timer of the loop. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_DEADLINES_H_
#define CLUSTIX_DAEMON_OBJECTS_DEADLINES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "lib/io/io.h"
#include "lib/kddm/ids.h"

namespace clustix::daemon {

class Deadlines {
 public:
  // `passed` is called for each operation whose time is over, and may be called for one that has
  // been removed. `loop` must outlive this.
  Deadlines(io::Loop& loop, std::function<void(kddm::OpId)> passed)
      : loop_(loop), passed_(std::move(passed)) {}
  ~Deadlines() { loop_.Cancel(timer_); }
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  // What to give to Remove(), not 0. Passes at most 1 ms later than asked; more than a year is a
  // year.
  uint64_t Add(kddm::OpId op, uint64_t timeout_ms);
  // The operation has ended.
  void Remove(uint64_t deadline);
  // For how many milliseconds there are entries.
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    size_t awaited = 0;
    std::vector<kddm::OpId> ops;  // also those that were removed
  };
  void Arm();
  void Pass();

  io::Loop& loop_;
  const std::function<void(kddm::OpId)> passed_;
  std::map<uint64_t, Entry> entries_;  // by the millisecond; each has some that is awaited
  io::TimerId timer_ = 0;
  uint64_t timer_at_ = 0;  // the millisecond; 0: there is no timer
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_DEADLINES_H_
