// SPDX-License-Identifier: Apache-2.0
//
// A few threads for work that blocks (reading files of processes, waiting for peers on behalf of an
// admin client), so that the loop's thread never does. Any thread may submit.
#ifndef CLUSTIX_DAEMON_WORKER_POOL_H_
#define CLUSTIX_DAEMON_WORKER_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "lib/base/mutex.h"

namespace clustix::daemon {

class WorkerPool {
 public:
  WorkerPool(size_t threads, size_t queue_max);
  ~WorkerPool() { Stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False: the queue is full or the pool stopped; the task will not run.
  bool Submit(std::function<void()> task);
  // Waits for the tasks that run; those in the queue are dropped. Not from a task.
  void Stop();

 private:
  void Run();

  const size_t queue_max_;
  base::Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_WORKER_POOL_H_
