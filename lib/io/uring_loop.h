// SPDX-License-Identifier: Apache-2.0
//
// Loop on io_uring: turns, timers, tasks and watched descriptors. A turn is
//
//   1. every completion that is ready,
//   2. timers that are due,
//   3. posted tasks,
//   4. end-of-turn tasks, then deferred ones,
//   5. one entry into the kernel, which submits what the turn has queued and sleeps until there is
//      something to do; none if there are tasks for the next turn already.
//
// Belongs to the thread that first calls Run(); Post() and Stop() may come from any.
#ifndef CLUSTIX_LIB_IO_URING_LOOP_H_
#define CLUSTIX_LIB_IO_URING_LOOP_H_

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/base/spin_policy.h"
#include "lib/base/unique_fd.h"
#include "lib/io/io.h"
#include "lib/io/timer_queue.h"
#include "lib/io/uring_ring.h"

namespace clustix::io {

class UringLoop final : public Loop {
 public:
  // Errors as UringRing::Create().
  // Looks out for `spin` before it sleeps, while that pays (lib/base/spin_policy.h); 0: never.
  static absl::StatusOr<std::unique_ptr<UringLoop>> Create(TimeNs spin,
                                                           std::function<bool()> cores_idle);
  UringLoop(TimeNs spin, std::function<bool()> cores_idle)
      : spin_policy_(spin, std::move(cores_idle)) {}
  // Who takes the completions that are not the loop's own.
  void set_completion_handler(std::function<void(const Completion&)> handler) {
    handler_ = std::move(handler);
  }
  // Receives, past the ring, for the stream that is likeliest to have bytes; true if it had. Only
  // while no completion is at hand.
  void set_direct_receiver(std::function<bool()> receive) { receive_ = std::move(receive); }
  UringRing& ring() { return *ring_; }

  TimeNs Now() const override;
  TimeNs CoarseNow() const override;
  void Post(std::function<void()> task) override;
  TimerId RunAt(TimeNs when, std::function<void()> task) override;
  bool Cancel(TimerId timer) override;
  void AtEndOfTurn(std::function<void()> task) override;
  // As Post(), but only from the loop's thread and without a lock.
  void Defer(std::function<void()> task);

  void Run();
  void Stop();
  void WatchFd(int fd, std::function<void()> readable);
  void UnwatchFd(int fd);

  // Cancels every operation and waits until none is left, so that the kernel uses no memory of ours
  // any more. Completions go to `handler`. Does nothing on a thread that is not the loop's: then
  // that thread has ended, and the kernel has cancelled its operations.
  void Drain(const std::function<void(const Completion&)>& handler);

 private:
  struct Watch {
    int fd;
    std::function<void()> readable;
  };

  void Turn();
  bool Wait(bool sleep);
  void Dispatch(const Completion& completion);
  void RunTimers();
  void RunPosted();
  bool HasTasks();
  bool OnLoopThread() const { return thread_.load() == std::this_thread::get_id(); }
  void Wake();
  void ArmWake();
  void ArmWatch(uint64_t id, const Watch& watch);
  void OnWatch(const Completion& completion);

  std::unique_ptr<UringRing> ring_;
  std::function<void(const Completion&)> handler_;
  std::function<bool()> receive_;
  bool received_directly_ = false;  // and the kernel has not been entered since
  std::atomic<std::thread::id> thread_;
  std::atomic<bool> stop_ = false;

  base::SpinPolicy spin_policy_;
  TimerQueue timers_;
  std::vector<std::function<void()>> deferred_;
  std::vector<std::function<void()>> end_of_turn_;
  std::vector<std::function<void()>> taken_;    // posted tasks that are about to run
  std::vector<std::function<void()>> running_;  // empty between turns
  base::Mutex mutex_;  // a leaf: nothing else is locked and no task runs while it is held
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);

  base::UniqueFd wake_;  // an eventfd that other threads write
  uint64_t wake_count_ = 0;
  bool wake_armed_ = false;

  std::unordered_map<uint64_t, std::shared_ptr<Watch>> watches_;
  std::unordered_map<int, uint64_t> watch_of_fd_;
  uint64_t next_watch_ = 1;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_URING_LOOP_H_
