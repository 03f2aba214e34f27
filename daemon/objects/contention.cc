// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/contention.h"

#include <algorithm>
#include <cmath>

namespace clustix::daemon {

void Contention::Fade(Entry& entry, uint64_t now_ns) {
  const double seconds = static_cast<double>(now_ns - entry.at_ns) / 1e9;
  const double factor = std::exp(-seconds / kSeconds);
  entry.moves *= factor;
  entry.writes *= factor;
  entry.at_ns = now_ns;
}

void Contention::OnWrite(const kddm::ObjectKey& key, NodeId writer, uint64_t now_ns) {
  std::array<Entry, kWays>& set = sets_[kddm::HashKey(key) % kSets];
  for (Entry& entry : set) Fade(entry, now_ns);
  const auto known = std::find_if(set.begin(), set.end(), [&key](const Entry& entry) {
    return entry.writer != kddm::kNoNode && entry.key == key;
  });
  if (known != set.end()) {
    known->writes += 1;
    if (known->writer != writer) known->moves += 1;
    known->writer = writer;
    return;
  }
  // Frequent ones stay, but each newcomer costs the least of them something (Misra and Gries 1982),
  // so that it gives way in the end to what is as frequent.
  Entry& least = *std::min_element(
      set.begin(), set.end(), [](const Entry& a, const Entry& b) { return a.writes < b.writes; });
  if (least.writes > 1) {
    least.writes -= 1;
    return;
  }
  least = {.key = key, .writer = writer, .at_ns = now_ns, .moves = 0, .writes = 1};
}

std::vector<Contention::Hot> Contention::Hottest(uint64_t now_ns) const {
  std::vector<Hot> hot;
  for (const std::array<Entry, kWays>& set : sets_) {
    for (Entry entry : set) {
      if (entry.writer == kddm::kNoNode) continue;
      Fade(entry, now_ns);
      const double rate = entry.moves / kSeconds;
      if (rate >= kRateMin) hot.push_back({.key = entry.key, .transfers_per_second = rate});
    }
  }
  return hot;
}

}  // namespace clustix::daemon
