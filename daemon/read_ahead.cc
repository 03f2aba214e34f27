// SPDX-License-Identifier: Apache-2.0
#include "daemon/read_ahead.h"

#include <algorithm>

#include "proto/proc.capnp.h"

namespace clustix::daemon {

std::optional<procview::FileResult> ReadAhead::Take(uint16_t node, int32_t pid,
                                                    const std::string& name,
                                                    const procview::Asker& asker, TimePoint now) {
  base::MutexLock lock(mutex_);
  const auto found = walks_.find({node, name, asker.uid, asker.gid});
  if (found == walks_.end()) return std::nullopt;
  Walk& walk = found->second;
  if (now - walk.asked > age_max_) {
    walk.ahead.clear();
    return std::nullopt;
  }
  auto file = walk.ahead.extract(pid);
  if (file.empty()) return std::nullopt;
  walk.last = now;
  walk.pid = pid;
  return std::move(file.mapped());
}

uint32_t ReadAhead::Window(uint16_t node, int32_t pid, const std::string& name,
                           const procview::Asker& asker, TimePoint now) {
  base::MutexLock lock(mutex_);
  const auto [at, is_new] = walks_.try_emplace({node, name, asker.uid, asker.gid});
  Walk& walk = at->second;
  const bool goes_on = !is_new && pid > walk.pid && now - walk.last <= age_max_;
  // Twice as many each time: a stroll past three processes costs little, a walk past thousands few
  // questions.
  walk.window =
      goes_on ? std::clamp<uint32_t>(2 * walk.window, kFirstWindow, proto::FILE_NEXT_MAX) : 0;
  walk.last = now;
  walk.pid = pid;
  const uint32_t window = walk.window;
  if (is_new && walks_.size() > kWalksMax) ForgetOldest();
  return window;
}

void ReadAhead::Keep(uint16_t node, const std::string& name, const procview::Asker& asker,
                     TimePoint asked, std::vector<NextFile> files) {
  base::MutexLock lock(mutex_);
  const auto found = walks_.find({node, name, asker.uid, asker.gid});
  if (found == walks_.end()) return;
  Walk& walk = found->second;
  walk.asked = asked;
  walk.ahead.clear();
  for (NextFile& next : files) walk.ahead.emplace(next.pid, std::move(next.file));
}

void ReadAhead::GiveUp(uint16_t node, const std::string& name, const procview::Asker& asker) {
  base::MutexLock lock(mutex_);
  walks_.erase({node, name, asker.uid, asker.gid});
}

void ReadAhead::ForgetOldest() {
  walks_.erase(std::min_element(walks_.begin(), walks_.end(), [](const auto& a, const auto& b) {
    return a.second.last < b.second.last;
  }));
}

}  // namespace clustix::daemon
