// SPDX-License-Identifier: Apache-2.0
#include "lib/proc/process_changes.h"

#include <algorithm>
#include <utility>

namespace clustix::proc {
namespace {

std::vector<ProcessRecord>::iterator PlaceOf(int32_t pid, NodeSnapshot* snapshot) {
  return std::lower_bound(
      snapshot->processes.begin(), snapshot->processes.end(), pid,
      [](const ProcessRecord& process, int32_t wanted) { return process.pid < wanted; });
}

void Apply(const ProcessChanges& changes, NodeSnapshot* snapshot) {
  for (int32_t pid : changes.gone) {
    const auto at = PlaceOf(pid, snapshot);
    if (at != snapshot->processes.end() && at->pid == pid) snapshot->processes.erase(at);
  }
  for (const ProcessRecord& process : changes.changed) {
    const auto at = PlaceOf(process.pid, snapshot);
    if (at != snapshot->processes.end() && at->pid == process.pid) {
      *at = process;
    } else {
      snapshot->processes.insert(at, process);
    }
  }
}

}  // namespace

bool ChangeLog::Add(ProcessChanges changes) {
  if (changes.all) return false;
  if (kept_.size() == kKeptMax) {
    if (fresh_ == kKeptMax) {
      Clear();
      return false;
    }
    kept_.pop_front();
  }
  kept_.push_back(std::move(changes));
  ++fresh_;
  return true;
}

std::shared_ptr<const NodeSnapshot> ChangeLog::Bring(std::shared_ptr<const NodeSnapshot> snapshot) {
  if (fresh_ == 0 || snapshot == nullptr) return snapshot;
  auto newer = std::make_shared<NodeSnapshot>(*snapshot);
  for (size_t i = kept_.size() - fresh_; i < kept_.size(); ++i) {
    if (kept_[i].taken_ns >= snapshot->taken_ns) Apply(kept_[i], newer.get());
  }
  fresh_ = 0;
  return newer;
}

void ChangeLog::Rebase(const NodeSnapshot& snapshot) {
  while (!kept_.empty() && kept_.front().taken_ns < snapshot.taken_ns) kept_.pop_front();
  fresh_ = kept_.size();
}

std::vector<int32_t> ChangeLog::ChangedPids() const {
  std::vector<int32_t> pids;
  for (const ProcessChanges& changes : kept_) {
    for (const ProcessRecord& process : changes.changed) pids.push_back(process.pid);
  }
  return pids;
}

void ChangeLog::Clear() {
  kept_.clear();
  fresh_ = 0;
}

}  // namespace clustix::proc
