// SPDX-License-Identifier: Apache-2.0
//
// Watches the births and exits of this node for the peers that look at it, and for no longer than
// they do: a thread that sleeps while nobody holds a lease, and then neither listens nor polls.
//
// The kernel's process connector tells of them where it may. Elsewhere (containers, nodes made of
// namespaces) the list of /proc is compared with the last one, kPollMin to kPollMax after it: the
// longer it takes to read, the less often.
//
// A new process is looked at once more the next time, for most become another program at once.
//
// What happens within kGather is told at once. A process that has exited is looked at again until
// its parent has reaped it, for the kernel does not tell of that. When more than kTouchedMax
// happens within kGather, single processes are not looked at: it is only told that much has
// happened, at most once in kFloodInterval.
//
// Any thread.
#ifndef CLUSTIX_DAEMON_PROC_WATCH_H_
#define CLUSTIX_DAEMON_PROC_WATCH_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "clustix/messenger.h"
#include "daemon/proc_connector.h"
#include "lib/base/mutex.h"
#include "lib/base/unique_fd.h"
#include "lib/proc/process_changes.h"
#include "lib/procview/proc_reader.h"

namespace clustix::daemon {

enum class WatchBy { kConnectorOrPolling, kPolling };

class ProcWatch {
 public:
  static constexpr std::chrono::milliseconds kGather{20};
  static constexpr std::chrono::milliseconds kPollMin{20};
  static constexpr std::chrono::milliseconds kPollMax{50};
  static constexpr int kPollShare = 20;  // the list may take a 20th of the thread's time
  static constexpr std::chrono::milliseconds kFloodInterval{100};
  static constexpr std::chrono::milliseconds kZombieMax{1000};  // then a snapshot tells what became
  static constexpr size_t kTouchedMax = 64;

  // Who looks, and what to tell them. On a thread of this object, with no lock held.
  using Tell = std::function<void(const std::vector<NodeId>& who, const proc::ProcessChanges&)>;

  // `reader` outlives it.
  ProcWatch(const procview::ProcReader& reader, WatchBy by, Tell tell);
  ~ProcWatch() { Stop(); }
  ProcWatch(const ProcWatch&) = delete;
  ProcWatch& operator=(const ProcWatch&) = delete;

  // `who` looks, and will for so long. The watch stands when this returns if it stood before;
  // otherwise it is about to begin.
  void Renew(NodeId who, std::chrono::milliseconds lease);

  // "connector", or "polling every 20 to 50 ms: why".
  const std::string& how() const { return how_; }

  // When it returns, nobody is told anything any more. Not on the thread of this object.
  void Stop();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Exited {
    TimePoint first_seen;
    bool told = false;  // that it is a zombie
  };
  // What has happened since it was last told.
  struct Touched {
    std::set<int32_t> pids;
    bool all = false;
    void Add(int32_t pid);
  };

  void Run();
  void Watch();
  // Those whose lease has not run out.
  std::vector<NodeId> Watchers();
  bool Sleep(std::chrono::milliseconds longest, int fd);
  bool Gather(Touched* touched);
  void GatherFromConnector(Touched* touched);
  void GatherFromList(Touched* touched);
  proc::ProcessChanges Look(const Touched& touched);

  const procview::ProcReader& reader_;
  const Tell tell_;
  std::string how_;
  bool may_connect_ = false;
  base::UniqueFd wake_;  // an eventfd: somebody looks, or the end

  // The thread's own.
  std::optional<ProcConnector> connector_;
  std::vector<int32_t> listed_;  // when polling: the last list
  std::vector<int32_t> born_;    // and who was new in it
  std::chrono::milliseconds poll_interval_ = kPollMin;
  std::map<int32_t, Exited> exited_;

  base::Mutex mutex_;
  std::map<NodeId, TimePoint> leases_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_PROC_WATCH_H_
