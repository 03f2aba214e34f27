// SPDX-License-Identifier: Apache-2.0
//
// Looks out for something before a thread sleeps, for as long as a SpinPolicy lets it. One thread,
// the policy's.
#ifndef CLUSTIX_LIB_BASE_LOOK_OUT_H_
#define CLUSTIX_LIB_BASE_LOOK_OUT_H_

#include <algorithm>
#include <cstdint>

#include "lib/base/pause.h"
#include "lib/base/spin_policy.h"

namespace clustix::base {

// Looks between two looks at the clock, which costs more.
inline constexpr int kLooksPerClock = 8;

// Until `found()` is true or `now_ns()` is past `until_ns`, and tells the policy.
template <typename Found, typename Now>
void LookOut(SpinPolicy& policy, uint64_t until_ns, Found found, Now now_ns) {
  uint64_t last = now_ns();
  uint64_t longest_gap = 0;
  bool is_there = found();
  while (!is_there && last < until_ns) {
    for (int i = 0; i < kLooksPerClock && !is_there; ++i) {
      PauseCpu();
      is_there = found();
    }
    const uint64_t now = now_ns();
    longest_gap = std::max(longest_gap, now - last);
    last = now;
  }
  policy.Report(is_there, longest_gap);
}

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_LOOK_OUT_H_
