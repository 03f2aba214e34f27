// SPDX-License-Identifier: Apache-2.0
//
// How long an operation on a set may take, and who can end it before. Any thread.
#ifndef CLUSTIX_LIB_CLIENT_PATIENCE_H_
#define CLUSTIX_LIB_CLIENT_PATIENCE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "clustix/sets.h"
#include "lib/base/mutex.h"
#include "lib/base/time_units.h"
#include "lib/cache/lease.h"

namespace clustix::client {

inline constexpr uint64_t kNever = UINT64_MAX;

struct Patience {
  explicit Patience(const Wait& wait);
  // 1 at least, so that it is a time for a request; 0: no deadline.
  uint64_t LeftMs() const;
  uint64_t deadline_ns = kNever;  // of CLOCK_MONOTONIC
  CancelState* cancel = nullptr;
};

}  // namespace clustix::client

namespace clustix {

// What a Canceller has to end. Its lock comes before those that `cancel` takes.
class CancelState {
 public:
  void Cancel();
  // False: it was cancelled, and nothing is to be begun. `cancel` may run until End(), which is
  // called without any lock that it takes.
  bool Begin(const void* what, std::function<void()> cancel);
  void End(const void* what);

 private:
  struct UnderWay {
    const void* what;
    std::function<void()> cancel;
  };
  base::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<UnderWay> under_way_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix

#endif  // CLUSTIX_LIB_CLIENT_PATIENCE_H_
