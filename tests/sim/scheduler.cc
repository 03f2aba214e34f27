// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/scheduler.h"

#include <algorithm>
#include <utility>

namespace clustix::sim {

void Scheduler::At(TimeNs when, std::function<void()> task) {
  heap_.push_back(Event{std::max(when, now_), next_order_++, std::move(task)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

void Scheduler::RunUntil(TimeNs until, const std::function<bool()>& proceed) {
  while (!heap_.empty() && heap_.front().when <= until && proceed()) {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.when;
    executed_++;
    event.task();
  }
  if (proceed()) now_ = std::max(now_, until);
}

}  // namespace clustix::sim
