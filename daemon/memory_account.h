// SPDX-License-Identifier: Apache-2.0
//
// How much memory is kept for whom: what users can make a daemon keep is bounded for each of them,
// and for all together, so that none takes it from the others. Any thread.
#ifndef CLUSTIX_DAEMON_MEMORY_ACCOUNT_H_
#define CLUSTIX_DAEMON_MEMORY_ACCOUNT_H_

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <utility>

#include "lib/base/mutex.h"

namespace clustix::daemon {

class MemoryAccount {
 public:
  // One user has a quarter, users that are not root three quarters.
  explicit MemoryAccount(size_t bytes_max) : bytes_max_(bytes_max) {}

  // A number of bytes kept for a user, given back when it goes. The account outlives it.
  class Charge {
   public:
    Charge() = default;
    Charge(Charge&& other) noexcept
        : account_(std::exchange(other.account_, nullptr)),
          uid_(other.uid_),
          bytes_(other.bytes_) {}
    Charge& operator=(Charge&& other) noexcept {
      std::swap(account_, other.account_);
      std::swap(uid_, other.uid_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Charge() {
      if (account_ != nullptr) account_->Return(uid_, bytes_);
    }
    // Whether there was room.
    explicit operator bool() const { return account_ != nullptr; }

   private:
    friend class MemoryAccount;
    Charge(MemoryAccount* account, uid_t uid, size_t bytes)
        : account_(account), uid_(uid), bytes_(bytes) {}

    MemoryAccount* account_ = nullptr;
    uid_t uid_ = 0;
    size_t bytes_ = 0;
  };

  Charge Take(uid_t uid, size_t bytes) {
    base::MutexLock lock(mutex_);
    const size_t of_all = uid == 0 ? bytes_max_ : bytes_max_ / 4 * 3;
    const size_t of_user = uid == 0 ? bytes_max_ : bytes_max_ / 4;
    const auto found = bytes_of_.find(uid);
    const size_t held = found == bytes_of_.end() ? 0 : found->second;
    if (bytes > of_all || bytes_ > of_all - bytes) return {};
    if (bytes > of_user || held > of_user - bytes) return {};
    bytes_ += bytes;
    bytes_of_[uid] = held + bytes;
    return {this, uid, bytes};
  }

  size_t bytes() const {
    base::MutexLock lock(mutex_);
    return bytes_;
  }

 private:
  void Return(uid_t uid, size_t bytes) {
    base::MutexLock lock(mutex_);
    bytes_ -= bytes;
    const auto found = bytes_of_.find(uid);
    found->second -= bytes;
    if (found->second == 0) bytes_of_.erase(found);
  }

  const size_t bytes_max_;
  mutable base::Mutex mutex_;  // a leaf
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uid_t, size_t> bytes_of_ ABSL_GUARDED_BY(mutex_);  // none of 0 bytes
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_MEMORY_ACCOUNT_H_
