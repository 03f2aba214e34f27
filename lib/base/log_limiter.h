// SPDX-License-Identifier: Apache-2.0
//
// Decides which of many like events is worth a log line: one per key and interval, which then also
// tells how many were held back. Any thread.
#ifndef CLUSTIX_LIB_BASE_LOG_LIMITER_H_
#define CLUSTIX_LIB_BASE_LOG_LIMITER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "lib/base/mutex.h"

namespace clustix::base {

class LogLimiter {
 public:
  static constexpr uint64_t kMinuteNs = 60'000'000'000;

  // Memory is bounded: keys beyond `max_keys` within one interval share a single entry, because the
  // keys (say, addresses of refused peers) may be chosen by a stranger.
  explicit LogLimiter(uint64_t interval_ns = kMinuteNs, size_t max_keys = 1024);

  // Shall this event be logged? If so, the number of events of the key held back since its last
  // line. `now_ns` is monotonic. Amortised O(1) while keys are few, O(max_keys) when they run out.
  std::optional<uint64_t> Admit(std::string_view key, uint64_t now_ns);

 private:
  struct Entry {
    uint64_t logged_ns = 0;
    uint64_t suppressed = 0;
  };

  std::optional<uint64_t> AdmitEntry(Entry& entry, uint64_t now_ns) const;
  void DropOld(uint64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t interval_ns_;
  const size_t max_keys_;
  Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::optional<Entry> overflow_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_drop_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_LOG_LIMITER_H_
