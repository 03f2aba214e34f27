// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/page_runs.h"

#include <cassert>
#include <iterator>

namespace clustix::cache {

std::optional<uint64_t> PageRuns::Take(uint64_t count) {
  const auto fitting = by_length_.lower_bound({count, 0});
  if (fitting == by_length_.end()) return std::nullopt;
  const auto [length, first] = *fitting;
  Erase(by_start_.find(first));
  if (length > count) Insert(first + count, length - count);
  return first;
}

void PageRuns::Give(uint64_t first, uint64_t count) {
  auto next = by_start_.lower_bound(first);
  assert(next == by_start_.end() || first + count <= next->first);
  if (next != by_start_.end() && first + count == next->first) {
    count += next->second;
    Erase(next++);
  }
  if (next != by_start_.begin()) {
    const auto before = std::prev(next);
    assert(before->first + before->second <= first);
    if (before->first + before->second == first) {
      first = before->first;
      count += before->second;
      Erase(before);
    }
  }
  Insert(first, count);
}

uint64_t PageRuns::FreeBefore(uint64_t end) const {
  auto run = by_start_.lower_bound(end);
  if (run == by_start_.begin()) return 0;
  --run;
  return run->first + run->second == end ? run->second : 0;
}

void PageRuns::Insert(uint64_t first, uint64_t count) {
  by_start_.emplace(first, count);
  by_length_.emplace(count, first);
  free_ += count;
}

void PageRuns::Erase(std::map<uint64_t, uint64_t>::iterator run) {
  by_length_.erase({run->second, run->first});
  free_ -= run->second;
  by_start_.erase(run);
}

}  // namespace clustix::cache
