// SPDX-License-Identifier: Apache-2.0
//
// What this program shares with its daemon, mapped, and the readers of its threads: each thread
// that reads gets one of its own, and gives it back when it ends. Any thread.
#ifndef CLUSTIX_LIB_CLIENT_CLIENT_MEMORY_H_
#define CLUSTIX_LIB_CLIENT_CLIENT_MEMORY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/base/unique_fd.h"
#include "lib/cache/client_region.h"
#include "lib/cache/node_view.h"
#include "lib/cache/reader.h"

namespace clustix::client {

// The reader that this thread used last.
struct LastReader {
  uint64_t memory = 0;  // ClientMemory::number_
  cache::Reader* reader = nullptr;
};
// Neither a function call nor a guard: this stands on the way of each hit.
extern constinit thread_local LastReader last_reader [[gnu::tls_model("initial-exec")]];

class ClientMemory : public std::enable_shared_from_this<ClientMemory> {
 public:
  static absl::StatusOr<std::shared_ptr<ClientMemory>> Map(const base::UniqueFd& node_page,
                                                           const base::UniqueFd& region,
                                                           base::UniqueFd bell, uint64_t spin_ns);
  ClientMemory(const ClientMemory&) = delete;
  ClientMemory& operator=(const ClientMemory&) = delete;

  // This thread's. nullptr: as many threads as can read have one.
  cache::Reader* MyReader() {
    if (last_reader.memory == number_) [[likely]]
      return last_reader.reader;
    return FindMyReader();
  }
  const cache::NodeView& node() const { return *node_; }
  cache::ClientRegion& region() { return *region_; }

 private:
  friend class ThreadReaders;
  ClientMemory(std::unique_ptr<cache::NodeView> node, std::unique_ptr<cache::ClientRegion> region);
  cache::Reader* FindMyReader();
  void Drop(const cache::Reader* reader);

  const uint64_t number_;  // of no other in this program, before or after
  const std::unique_ptr<cache::NodeView> node_;
  const std::unique_ptr<cache::ClientRegion> region_;
  base::Mutex mutex_;
  std::vector<std::unique_ptr<cache::Reader>> readers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_CLIENT_MEMORY_H_
