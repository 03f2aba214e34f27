// SPDX-License-Identifier: Apache-2.0
//
// Files of a node's processes that were read before anybody asked for them. A tool that wants a
// file which no snapshot holds wants it of one process after the other, in the order of their pids:
// ps -ef the environ, pgrep the cgroup, htop the exe. One question per process would cost a round
// trip each. So whoever reads the same file of a second process within a moment is taken to go on,
// and gets the answers for those that follow along with his own: more and more of them.
//
// An answer is handed out once, to the asker for whom the node has given it, and only while it is
// young. Any thread.
#ifndef CLUSTIX_DAEMON_READ_AHEAD_H_
#define CLUSTIX_DAEMON_READ_AHEAD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/base/mutex.h"
#include "lib/procview/cluster_view.h"

namespace clustix::daemon {

class ReadAhead {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct NextFile {
    int32_t pid;
    procview::FileResult file;
  };

  static constexpr size_t kWalksMax = 64;
  static constexpr uint32_t kFirstWindow = 16;

  // `age_max`: how old an answer may be when it is handed out, and how long after his last question
  // somebody is still taken to go on.
  explicit ReadAhead(std::chrono::milliseconds age_max) : age_max_(age_max) {}

  // The answer for PID/`name`, if it is here.
  std::optional<procview::FileResult> Take(uint16_t node, int32_t pid, const std::string& name,
                                           const procview::Asker& asker, TimePoint now);
  // It is not, and will be asked for: of how many further processes to ask for, too. 0 for somebody
  // who does not seem to go through them all.
  uint32_t Window(uint16_t node, int32_t pid, const std::string& name, const procview::Asker& asker,
                  TimePoint now);
  // What came along; `asked`: when it was asked for.
  void Keep(uint16_t node, const std::string& name, const procview::Asker& asker, TimePoint asked,
            std::vector<NextFile> files);
  // Nothing came, nor what was asked for itself: perhaps it was too much.
  void GiveUp(uint16_t node, const std::string& name, const procview::Asker& asker);

 private:
  using Key = std::tuple<uint16_t, std::string, uid_t, gid_t>;
  // Somebody on his way through the processes of a node.
  struct Walk {
    TimePoint last;  // when he asked last
    int32_t pid = 0;
    uint32_t window = 0;
    TimePoint asked;  // when `ahead` was
    std::map<int32_t, procview::FileResult> ahead;
  };

  void ForgetOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::chrono::milliseconds age_max_;
  base::Mutex mutex_;
  std::map<Key, Walk> walks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_READ_AHEAD_H_
