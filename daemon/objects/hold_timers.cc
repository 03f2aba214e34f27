// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/hold_timers.h"

namespace clustix::daemon {

void HoldTimers::Arm(const kddm::HoldTimer& timer) {
  const Entry entry = {.timer = timer, .at = loop_.Now() + delay_ns_};
  const auto [known, is_new] = of_object_.try_emplace(timer.key);
  if (is_new) {
    known->second = entries_.insert(entries_.end(), entry);
  } else {
    *known->second = entry;
    entries_.splice(entries_.end(), entries_, known->second);
  }
  if (loop_timer_ == 0) Await();
}

void HoldTimers::Stop() {
  loop_.Cancel(std::exchange(loop_timer_, 0));
  entries_.clear();
  of_object_.clear();
}

void HoldTimers::Await() {
  if (!entries_.empty()) loop_timer_ = loop_.RunAt(entries_.front().at, [this] { Pass(); });
}

// What is due may make others wait, and end all of this.
void HoldTimers::Pass() {
  loop_timer_ = 0;
  const io::TimeNs now = loop_.Now();
  while (!entries_.empty() && entries_.front().at <= now) {
    const kddm::HoldTimer timer = entries_.front().timer;
    of_object_.erase(timer.key);
    entries_.pop_front();
    due_(timer);
  }
  if (loop_timer_ == 0) Await();
}

}  // namespace clustix::daemon
