// SPDX-License-Identifier: Apache-2.0
//
// What has become of a node's processes since a snapshot of it, and how that is brought into the
// snapshot. Plain values; a ChangeLog belongs to whoever guards it.
#ifndef CLUSTIX_LIB_PROC_PROCESS_CHANGES_H_
#define CLUSTIX_LIB_PROC_PROCESS_CHANGES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "lib/proc/snapshot.h"

namespace clustix::proc {

struct ProcessChanges {
  uint64_t taken_ns = 0;               // when they were read, as NodeSnapshot::taken_ns
  std::vector<ProcessRecord> changed;  // born, become another program, or a zombie
  std::vector<int32_t> gone;
  bool all = false;  // more has changed than this says

  bool empty() const { return !all && changed.empty() && gone.empty(); }
};

// The latest news of one node. They and the node's snapshots overtake each other on their way, so a
// snapshot is brought up to date with all news that are younger than it, whichever came first.
class ChangeLog {
 public:
  static constexpr size_t kKeptMax = 64;

  // False if these are more than can be kept: the snapshot is to be fetched anew. Nothing is lost
  // by that, for a newer snapshot has all that is older.
  [[nodiscard]] bool Add(ProcessChanges changes);

  // The snapshot with all news in it that are younger; itself if there are none that it has not
  // had. O(processes) if there are.
  std::shared_ptr<const NodeSnapshot> Bring(std::shared_ptr<const NodeSnapshot> snapshot);

  // Another snapshot is the last one: what is older is forgotten, and what is younger is news to
  // it.
  void Rebase(const NodeSnapshot& snapshot);
  void Clear();
  bool HasNews() const { return fresh_ > 0; }

  // Whoever is in the news that are kept, and not gone; some more than once.
  std::vector<int32_t> ChangedPids() const;

 private:
  std::deque<ProcessChanges> kept_;  // by ascending time
  size_t fresh_ = 0;                 // of those, how many at the end the snapshot has not had
};

}  // namespace clustix::proc

#endif  // CLUSTIX_LIB_PROC_PROCESS_CHANGES_H_
