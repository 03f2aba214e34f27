// SPDX-License-Identifier: Apache-2.0
//
// std::mutex with clang's thread-safety annotations: members marked ABSL_GUARDED_BY(mutex_) can
// only be touched with the lock held, and the compiler checks it. Not absl::Mutex, because Debian's
// Abseil is built without ThreadSanitizer, which then reports races that are none.
#ifndef CLUSTIX_LIB_BASE_MUTEX_H_
#define CLUSTIX_LIB_BASE_MUTEX_H_

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace clustix::base {

// lock() and unlock() by these names, so that std::condition_variable_any can wait with it.
class ABSL_LOCKABLE Mutex {
 public:
  constexpr Mutex() = default;
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_MUTEX_H_
