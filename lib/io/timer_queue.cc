// SPDX-License-Identifier: Apache-2.0
#include "lib/io/timer_queue.h"

namespace clustix::io {

TimerId TimerQueue::Add(TimeNs when, std::function<void()> task) {
  const TimerId timer = next_id_++;
  timers_.emplace(std::pair(when, timer), std::move(task));
  moments_.emplace(timer, when);
  return timer;
}

bool TimerQueue::Cancel(TimerId timer) {
  const auto found = moments_.find(timer);
  if (found == moments_.end()) return false;
  // The task may own what calls us; it is destroyed last, when the queue is whole again.
  const auto entry = timers_.extract(std::pair(found->second, timer));
  moments_.erase(found);
  return true;
}

TimeNs TimerQueue::Next() const { return timers_.empty() ? kNever : timers_.begin()->first.first; }

std::function<void()> TimerQueue::TakeDue(TimeNs now, TimerId limit) {
  if (timers_.empty()) return {};
  const auto first = timers_.begin();
  const auto [when, timer] = first->first;
  if (when > now || timer >= limit) return {};
  std::function<void()> task = std::move(first->second);
  timers_.erase(first);
  moments_.erase(timer);
  return task;
}

}  // namespace clustix::io
