// SPDX-License-Identifier: Apache-2.0
//
// A loop of timers alone, for tests: its clock is moved by hand.
#ifndef CLUSTIX_TESTS_UNIT_OBJECTS_HAND_LOOP_H_
#define CLUSTIX_TESTS_UNIT_OBJECTS_HAND_LOOP_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "lib/io/io.h"

namespace clustix::daemon {

class HandLoop final : public io::Loop {
 public:
  static constexpr uint64_t kMs = 1'000'000;

  io::TimeNs Now() const override { return now_; }
  void Post(std::function<void()>) override { FAIL(); }
  io::TimerId RunAt(io::TimeNs when, std::function<void()> task) override {
    timers_[++last_] = {when, std::move(task)};
    return last_;
  }
  bool Cancel(io::TimerId timer) override { return timers_.erase(timer) != 0; }
  void AtEndOfTurn(std::function<void()>) override { FAIL(); }

  // The time of the next timer, which runs; nothing: there is none.
  std::optional<io::TimeNs> Next() {
    const auto next = std::min_element(timers_.begin(), timers_.end(), [](auto& a, auto& b) {
      return a.second.first < b.second.first;
    });
    if (next == timers_.end()) return std::nullopt;
    now_ = next->second.first;
    const std::function<void()> task = std::move(next->second.second);
    timers_.erase(next);
    task();
    return now_;
  }
  // Time goes by in which no timer is due.
  void Wait(uint64_t ms) { now_ += ms * kMs; }
  size_t timers() const { return timers_.size(); }

 private:
  io::TimeNs now_ = 17 * kMs + 1;
  io::TimerId last_ = 0;
  std::map<io::TimerId, std::pair<io::TimeNs, std::function<void()>>> timers_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_TESTS_UNIT_OBJECTS_HAND_LOOP_H_
