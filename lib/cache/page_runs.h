// SPDX-License-Identifier: Apache-2.0
//
// Which pages of an arena are free: runs of them, best fit, joined with their neighbours when they
// come back. Only numbers: the pages themselves are somebody else's. One thread at a time.
#ifndef CLUSTIX_LIB_CACHE_PAGE_RUNS_H_
#define CLUSTIX_LIB_CACHE_PAGE_RUNS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace clustix::cache {

class PageRuns {
 public:
  // The first of `count` pages that follow each other; nothing: there is no such run. O(log runs).
  std::optional<uint64_t> Take(uint64_t count);
  // Pages that are not in here. O(log runs).
  void Give(uint64_t first, uint64_t count);

  uint64_t free_pages() const { return free_; }
  uint64_t longest() const { return by_length_.empty() ? 0 : by_length_.rbegin()->first; }
  // How many pages at the end of those below `end` are free.
  uint64_t FreeBefore(uint64_t end) const;

 private:
  void Insert(uint64_t first, uint64_t count);
  void Erase(std::map<uint64_t, uint64_t>::iterator run);

  std::map<uint64_t, uint64_t> by_start_;              // first page: how many
  std::set<std::pair<uint64_t, uint64_t>> by_length_;  // how many, first page
  uint64_t free_ = 0;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_PAGE_RUNS_H_
