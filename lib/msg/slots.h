// SPDX-License-Identifier: Apache-2.0
//
// Callbacks that wait for the session to report on a cookie. A cookie is never 0, and names its
// callback until Take().
#ifndef CLUSTIX_LIB_MSG_SLOTS_H_
#define CLUSTIX_LIB_MSG_SLOTS_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace clustix::msg {

template <typename Callback>
class Slots {
 public:
  uint64_t Put(Callback callback) {
    if (free_.empty()) {
      slots_.push_back(std::move(callback));
      return slots_.size();
    }
    const uint64_t cookie = free_.back();
    free_.pop_back();
    slots_[cookie - 1] = std::move(callback);
    return cookie;
  }

  Callback Take(uint64_t cookie) {
    assert(cookie >= 1 && cookie <= slots_.size());
    free_.push_back(cookie);
    return std::exchange(slots_[cookie - 1], nullptr);
  }

 private:
  std::vector<Callback> slots_;
  std::vector<uint64_t> free_;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_SLOTS_H_
