// SPDX-License-Identifier: Apache-2.0
#include "lib/base/log_limiter.h"

#include <utility>

namespace clustix::base {

LogLimiter::LogLimiter(uint64_t interval_ns, size_t max_keys)
    : interval_ns_(interval_ns), max_keys_(max_keys) {}

std::optional<uint64_t> LogLimiter::AdmitEntry(Entry& entry, uint64_t now_ns) const {
  if (now_ns - entry.logged_ns < interval_ns_) {
    ++entry.suppressed;
    return std::nullopt;
  }
  entry.logged_ns = now_ns;
  return std::exchange(entry.suppressed, 0);
}

// An old entry that still has a count stays until its next line, so that no count gets lost, unless
// it is older than two intervals: its key does not come back.
void LogLimiter::DropOld(uint64_t now_ns) {
  std::erase_if(entries_, [&](const auto& item) {
    const uint64_t age_ns = now_ns - item.second.logged_ns;
    return age_ns >= interval_ns_ && (item.second.suppressed == 0 || age_ns >= 2 * interval_ns_);
  });
}

std::optional<uint64_t> LogLimiter::Admit(std::string_view key, uint64_t now_ns) {
  MutexLock lock(mutex_);
  if (auto found = entries_.find(std::string(key)); found != entries_.end()) {
    return AdmitEntry(found->second, now_ns);
  }
  // At most a few sweeps per interval: a flood of new keys must not cost a walk for each.
  if (entries_.size() >= max_keys_ && now_ns >= next_drop_ns_) {
    DropOld(now_ns);
    next_drop_ns_ = now_ns + interval_ns_ / 4;
  }
  if (entries_.size() >= max_keys_) {
    if (overflow_) return AdmitEntry(*overflow_, now_ns);
    overflow_ = Entry{.logged_ns = now_ns};
    return 0;
  }
  entries_.emplace(key, Entry{.logged_ns = now_ns});
  return 0;
}

}  // namespace clustix::base
