// SPDX-License-Identifier: Apache-2.0
//
// What open files and directories hold, under the numbers by which the kernel names them.
// Thread-safe.
//
// A plain pointer as the number would do for the kernel, which releases a file only after its last
// read. But that order goes through the kernel alone, where neither the memory model nor a
// sanitizer sees it.
#ifndef CLUSTIX_DAEMON_HANDLE_TABLE_H_
#define CLUSTIX_DAEMON_HANDLE_TABLE_H_

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "lib/base/mutex.h"

namespace clustix::daemon {

template <typename T>
class HandleTable {
 public:
  uint64_t Add(T value) {
    auto shared = std::make_shared<const T>(std::move(value));
    base::MutexLock lock(mutex_);
    values_.emplace(++last_, std::move(shared));
    return last_;
  }

  // nullptr for a number that was never given out, or removed.
  std::shared_ptr<const T> Get(uint64_t handle) const {
    base::MutexLock lock(mutex_);
    const auto it = values_.find(handle);
    return it == values_.end() ? nullptr : it->second;
  }

  void Remove(uint64_t handle) {
    std::shared_ptr<const T> removed;  // freed after the lock
    base::MutexLock lock(mutex_);
    const auto it = values_.find(handle);
    if (it == values_.end()) return;
    removed = std::move(it->second);
    values_.erase(it);
  }

 private:
  mutable base::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<uint64_t, std::shared_ptr<const T>> values_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_HANDLE_TABLE_H_
