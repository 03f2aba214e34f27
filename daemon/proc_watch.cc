// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_watch.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

using procview::ConnectorEvent;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

uint64_t NowNs() { return static_cast<uint64_t>(steady_clock::now().time_since_epoch().count()); }

}  // namespace

void ProcWatch::Touched::Add(int32_t pid) {
  if (all) return;
  pids.insert(pid);
  if (pids.size() <= kTouchedMax) return;
  all = true;
  pids.clear();
}

ProcWatch::ProcWatch(const procview::ProcReader& reader, WatchBy by, Tell tell)
    : reader_(reader), tell_(std::move(tell)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const absl::Status probe = by == WatchBy::kPolling
                                 ? absl::FailedPreconditionError("nothing else is wanted")
                                 : ProcConnector::Open().status();
  may_connect_ = probe.ok();
  how_ = may_connect_ ? "connector"
                      : absl::StrCat("polling every ", kPollMin.count(), " to ", kPollMax.count(),
                                     " ms: ", probe.message());
  thread_ = std::thread([this] { Run(); });
}

void ProcWatch::Stop() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void ProcWatch::Renew(NodeId who, milliseconds lease) {
  bool first;
  {
    base::MutexLock lock(mutex_);
    first = leases_.empty();
    leases_[who] = steady_clock::now() + lease;
  }
  if (first) eventfd_write(wake_.get(), 1);
}

std::vector<NodeId> ProcWatch::Watchers() {
  std::vector<NodeId> who;
  const TimePoint now = steady_clock::now();
  base::MutexLock lock(mutex_);
  for (auto lease = leases_.begin(); lease != leases_.end();) {
    if (lease->second < now || stopping_) {
      lease = leases_.erase(lease);
    } else {
      who.push_back(lease++->first);
    }
  }
  return who;
}

// Until `fd` is readable (-1: none), somebody wakes this thread, or the time is over. False: stop.
bool ProcWatch::Sleep(milliseconds longest, int fd) {
  {
    base::MutexLock lock(mutex_);
    if (stopping_) return false;  // an earlier call may have taken the wake-up for it
  }
  pollfd entries[] = {{wake_.get(), POLLIN, 0}, {fd, POLLIN, 0}};
  poll(entries, fd < 0 ? 1 : 2, static_cast<int>(longest.count()));
  eventfd_t ignored;
  if (entries[0].revents != 0) eventfd_read(wake_.get(), &ignored);
  base::MutexLock lock(mutex_);
  return !stopping_;
}

void ProcWatch::Run() {
  constexpr milliseconds kForever{-1};
  do {
    if (!Watchers().empty()) Watch();
  } while (Sleep(kForever, -1));
}

// From the first lease to the end of the last.
void ProcWatch::Watch() {
  if (may_connect_) {
    absl::StatusOr<ProcConnector> opened = ProcConnector::Open();
    if (opened.ok()) connector_.emplace(*std::move(opened));
  }
  if (!connector_) listed_ = reader_.ListProcesses().value_or(std::vector<int32_t>());
  born_.clear();
  // Whatever they have read was begun before the watch.
  tell_(Watchers(), {.taken_ns = NowNs(), .changed = {}, .gone = {}, .all = true});
  for (std::vector<NodeId> who = Watchers(); !who.empty(); who = Watchers()) {
    // 1. Wait for something to happen; what is watched without being told of needs a look.
    const bool told_of_all = connector_ && exited_.empty();
    constexpr milliseconds kLeaseCheck{500};
    if (!Sleep(told_of_all ? kLeaseCheck : poll_interval_, connector_ ? connector_->fd() : -1)) {
      break;
    }
    // 2. Let more happen, so that it is told at once.
    Touched touched;
    if (!Gather(&touched)) continue;
    if (connector_) {
      if (!Sleep(kGather, -1)) break;
      Gather(&touched);
    }
    // 3. Tell.
    const proc::ProcessChanges changes = Look(touched);
    if (!changes.empty()) tell_(who, changes);
    if (changes.all && !Sleep(kFloodInterval, -1)) break;
  }
  connector_.reset();
  exited_.clear();
}

// Whether there is something to tell.
bool ProcWatch::Gather(Touched* touched) {
  if (connector_) {
    GatherFromConnector(touched);
  } else {
    GatherFromList(touched);
  }
  for (const auto& [pid, exited] : exited_) touched->Add(pid);
  return touched->all || !touched->pids.empty();
}

void ProcWatch::GatherFromConnector(Touched* touched) {
  std::vector<ConnectorEvent> events;
  if (!connector_->Drain(&events)) touched->all = true;
  const TimePoint now = steady_clock::now();
  for (const ConnectorEvent& event : events) {
    if (event.kind == ConnectorEvent::Kind::kAcknowledged) continue;
    touched->Add(event.pid);
    if (event.kind == ConnectorEvent::Kind::kExited && exited_.size() < kTouchedMax) {
      exited_.try_emplace(event.pid, Exited{now});
    }
  }
  if (touched->all) touched->pids.clear();
}

void ProcWatch::GatherFromList(Touched* touched) {
  const TimePoint begun = steady_clock::now();
  absl::StatusOr<std::vector<int32_t>> now = reader_.ListProcesses();
  const auto pause = kPollShare * (steady_clock::now() - begun);
  poll_interval_ = std::clamp(std::chrono::duration_cast<milliseconds>(pause), kPollMin, kPollMax);
  if (!now.ok()) return;
  std::vector<int32_t> different;
  std::set_symmetric_difference(listed_.begin(), listed_.end(), now->begin(), now->end(),
                                std::back_inserter(different));
  for (int32_t pid : different) touched->Add(pid);
  for (int32_t pid : born_) touched->Add(pid);
  born_.clear();
  std::set_difference(now->begin(), now->end(), listed_.begin(), listed_.end(),
                      std::back_inserter(born_));
  listed_ = *std::move(now);
}

proc::ProcessChanges ProcWatch::Look(const Touched& touched) {
  proc::ProcessChanges changes;
  changes.taken_ns = NowNs();
  changes.all = touched.all;
  const TimePoint now = steady_clock::now();
  for (int32_t pid : touched.pids) {
    const auto exited = exited_.find(pid);
    std::optional<proc::ProcessRecord> record = reader_.CollectOne(pid);
    const bool gone = !record;
    if (gone) {
      changes.gone.push_back(pid);
    } else if (exited == exited_.end() || !std::exchange(exited->second.told, true)) {
      changes.changed.push_back(*std::move(record));
    }
    const bool watched = exited != exited_.end();
    if (watched && (gone || now - exited->second.first_seen > kZombieMax)) exited_.erase(exited);
  }
  if (touched.all) exited_.clear();
  return changes;
}

}  // namespace clustix::daemon
