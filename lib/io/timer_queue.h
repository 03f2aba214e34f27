// SPDX-License-Identifier: Apache-2.0
//
// Timers in the order of their moments; equal moments in the order they were added. Holds tasks,
// runs none and reads no clock. One thread at a time.
#ifndef CLUSTIX_LIB_IO_TIMER_QUEUE_H_
#define CLUSTIX_LIB_IO_TIMER_QUEUE_H_

#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "lib/io/io.h"

namespace clustix::io {

class TimerQueue {
 public:
  // Ids count up from 1 and are never reused.
  TimerId Add(TimeNs when, std::function<void()> task);
  // False if the timer was taken or cancelled before.
  bool Cancel(TimerId timer);
  // The moment of the first timer, kNever if there is none.
  TimeNs Next() const;
  // Takes the first timer if its moment has come and its id is below `limit`; empty otherwise. The
  // caller passes next_id() as it was when it began, so that a timer that re-arms itself for a
  // moment past cannot keep it from going on.
  std::function<void()> TakeDue(TimeNs now, TimerId limit);
  TimerId next_id() const { return next_id_; }

 private:
  // A balanced tree and not a heap: Cancel() is as frequent as expiry (every call has a deadline
  // that rarely strikes), and takes its entry out instead of leaving it to rot.
  std::map<std::pair<TimeNs, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, TimeNs> moments_;
  TimerId next_id_ = 1;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_TIMER_QUEUE_H_
