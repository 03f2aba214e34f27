// SPDX-License-Identifier: Apache-2.0
//
// The large replies of the admin socket. Whoever asks the same of the same moment gets the same
// bytes: they are encoded once and kept for as long as one client has not got them all. What slow
// clients hold of different moments is bounded in sum.
//
// Any thread.
#ifndef CLUSTIX_DAEMON_REPLY_CACHE_H_
#define CLUSTIX_DAEMON_REPLY_CACHE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/proc/snapshot.h"

namespace clustix::daemon {

// One encoded AdminReply, shared by those it is sent to.
using ReplyBytes = std::shared_ptr<const std::vector<std::byte>>;

class ReplyCache {
 public:
  enum class Question { kCluster, kNodes };

  // Encodes, unless the same is held by somebody. Takes as long as that takes, and makes others
  // wait who ask meanwhile. kResourceExhausted, with what to tell the client: larger than a reply
  // may be, or more than `bytes_max` would be alive.
  absl::StatusOr<ReplyBytes> Get(Question question,
                                 const std::shared_ptr<const proc::ClusterSnapshot>& cluster,
                                 size_t bytes_max);

  // Of all replies that somebody holds, each counted once.
  size_t bytes_alive() const { return *bytes_alive_; }

 private:
  struct Entry {
    std::weak_ptr<const proc::ClusterSnapshot> of;
    std::weak_ptr<const std::vector<std::byte>> bytes;
  };

  base::Mutex mutex_;
  std::array<Entry, 2> entries_ ABSL_GUARDED_BY(mutex_);  // by Question
  // Shared with the replies, which may outlive the cache.
  const std::shared_ptr<std::atomic<size_t>> bytes_alive_ =
      std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_REPLY_CACHE_H_
