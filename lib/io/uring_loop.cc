// SPDX-License-Identifier: Apache-2.0
#include "lib/io/uring_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/look_out.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"

namespace clustix::io {
namespace {

// Cancelling takes microseconds; a kernel that takes longer than this is stuck, and we are leaving.
constexpr TimeNs kDrainNs = 5 * kNsPerSecond;
constexpr TimeNs kCancelAgainNs = 10'000'000;
// Turns with tasks of the loop's own, or completions at hand, before others are looked for.
constexpr int kTurnsPerEntry = 4;
// What a turn receives, about: the peer has the answers to this much in hand, and works on them,
// while the next turn looks at what follows. Longer turns would have the two wait for each other.
constexpr size_t kTurnBytes = 32 * 1024;

TimeNs ReadClock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<TimeNs>(now.tv_sec) * kNsPerSecond + static_cast<TimeNs>(now.tv_nsec);
}

// Runs what is in `tasks`, but not what is added meanwhile. `running` is empty, and lends its
// memory.
void RunAll(std::vector<std::function<void()>>& tasks,
            std::vector<std::function<void()>>& running) {
  if (tasks.empty()) return;
  running.swap(tasks);
  for (std::function<void()>& task : running) {
    task();
    task = nullptr;  // what it holds goes before the next one runs
  }
  running.clear();
}

}  // namespace

absl::StatusOr<std::unique_ptr<UringLoop>> UringLoop::Create(TimeNs spin,
                                                             std::function<bool()> cores_idle) {
  auto loop = std::make_unique<UringLoop>(spin, std::move(cores_idle));
  ASSIGN_OR_RETURN(loop->ring_, UringRing::Create());
  loop->wake_.Reset(eventfd(0, EFD_CLOEXEC));
  if (!loop->wake_.valid()) return base::ErrnoStatus(errno, "eventfd");
  return loop;
}

TimeNs UringLoop::Now() const { return ReadClock(CLOCK_MONOTONIC); }

TimeNs UringLoop::CoarseNow() const { return ReadClock(CLOCK_MONOTONIC_COARSE); }

void UringLoop::Post(std::function<void()> task) {
  bool first;
  {
    base::MutexLock lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  // The loop looks at posted_ before it sleeps, so only others need to wake it, and only once.
  if (first && !OnLoopThread()) Wake();
}

TimerId UringLoop::RunAt(TimeNs when, std::function<void()> task) {
  return timers_.Add(when, std::move(task));
}

bool UringLoop::Cancel(TimerId timer) { return timers_.Cancel(timer); }

void UringLoop::AtEndOfTurn(std::function<void()> task) { end_of_turn_.push_back(std::move(task)); }

void UringLoop::Defer(std::function<void()> task) { deferred_.push_back(std::move(task)); }

void UringLoop::Run() {
  thread_ = std::this_thread::get_id();
  ring_->Enable();
  if (!wake_armed_) ArmWake();
  for (int turns = 0;;) {
    Turn();
    const bool stop = stop_.exchange(false);
    const bool at_hand = ring_->ready() > 0;
    const bool sleep = !stop && !at_hand && !HasTasks();
    if (!stop && !sleep && (at_hand || !ring_->has_news()) && ++turns < kTurnsPerEntry) continue;
    turns = 0;
    if (!Wait(sleep)) {
      base::Log(base::LogLevel::kError, "io", "Run() was called on a second thread");
      abort();
    }
    if (stop) return;
  }
}

// False if the ring is another thread's.
//
// When news of a receive end the spin, an entry into the kernel would take the bytes the long way
// round: through the poll that waits for them, to a completion. A plain recv() has them a
// microsecond sooner, and what the poll leaves to do is done by the entry at the next wait, while
// the peer has its answer.
bool UringLoop::Wait(bool sleep) {
  const bool owe_entry = std::exchange(received_directly_, false);
  const TimeNs until = sleep ? timers_.Next() : 0;
  if (until == 0) return ring_->SubmitAndWait(0, 0);
  const TimeNs now = Now();
  const TimeNs budget = spin_policy_.Budget(now);
  if (budget == 0) return ring_->SubmitAndWait(now, until);
  if ((owe_entry || ring_->queued() > 0) && !ring_->SubmitAndWait(0, 0)) return false;
  base::LookOut(
      spin_policy_, std::min(until, now + budget), [this] { return ring_->has_news(); },
      [this] { return Now(); });
  if (ring_->ready() == 0 && ring_->has_news() && ring_->works_when_entered() && receive_()) {
    received_directly_ = true;
    return true;
  }
  return ring_->SubmitAndWait(Now(), ring_->has_news() ? 0 : until);
}

void UringLoop::Stop() {
  stop_ = true;
  if (!OnLoopThread()) Wake();
}

void UringLoop::Turn() {
  // Those that are ready now and no others, or a fast peer could hold up the timers.
  size_t received_bytes = 0;
  for (size_t left = ring_->ready(); left > 0 && received_bytes < kTurnBytes; --left) {
    const Completion completion = *ring_->Take();
    if (completion.op == Op::kReceive && completion.result > 0) {
      received_bytes += static_cast<size_t>(completion.result);
    }
    Dispatch(completion);
  }
  RunTimers();
  RunPosted();
  RunAll(end_of_turn_, running_);
  RunAll(deferred_, running_);
}

void UringLoop::Dispatch(const Completion& completion) {
  switch (completion.op) {
    case Op::kWake:
      ArmWake();
      break;
    case Op::kWatch:
      OnWatch(completion);
      break;
    default:
      handler_(completion);
  }
}

void UringLoop::RunTimers() {
  const TimerId limit = timers_.next_id();
  if (timers_.Next() == kNever) return;
  const TimeNs now = Now();
  while (const std::function<void()> task = timers_.TakeDue(now, limit)) task();
}

void UringLoop::RunPosted() {
  {
    base::MutexLock lock(mutex_);
    if (posted_.empty()) return;
    taken_.swap(posted_);
  }
  RunAll(taken_, running_);
}

bool UringLoop::HasTasks() {
  if (!deferred_.empty() || !end_of_turn_.empty()) return true;
  base::MutexLock lock(mutex_);
  return !posted_.empty();
}

// An eventfd cannot be full before 2^64 - 1 wakes; the loop reads them all at once.
void UringLoop::Wake() {
  const uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void UringLoop::ArmWake() {
  wake_armed_ = true;
  ring_->Queue(Op::kWake, 0, [this](io_uring_sqe* sqe) {
    io_uring_prep_read(sqe, wake_.get(), &wake_count_, sizeof wake_count_, 0);
  });
}

void UringLoop::WatchFd(int fd, std::function<void()> readable) {
  assert(!watch_of_fd_.contains(fd));
  const uint64_t id = next_watch_++;
  auto watch = std::make_shared<Watch>(Watch{.fd = fd, .readable = std::move(readable)});
  ArmWatch(id, *watch);
  watches_.emplace(id, std::move(watch));
  watch_of_fd_.emplace(fd, id);
}

void UringLoop::UnwatchFd(int fd) {
  const auto found = watch_of_fd_.find(fd);
  if (found == watch_of_fd_.end()) return;
  ring_->QueueCancel(Op::kWatch, found->second);
  watches_.erase(found->second);
  watch_of_fd_.erase(found);
}

// One poll per event and not a multishot one, which tells edges only: a callback that leaves bytes
// behind would not be called for them again.
void UringLoop::ArmWatch(uint64_t id, const Watch& watch) {
  ring_->Queue(Op::kWatch, id,
               [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, watch.fd, POLLIN); });
}

void UringLoop::OnWatch(const Completion& completion) {
  const auto found = watches_.find(completion.id);
  if (found == watches_.end()) return;                 // unwatched meanwhile
  const std::shared_ptr<Watch> watch = found->second;  // survives an UnwatchFd() from within
  if (completion.result < 0) {
    base::Log(base::LogLevel::kError, "io", "a watched descriptor cannot be polled",
              {{"fd", watch->fd}, {"errno", -completion.result}});
    watch_of_fd_.erase(watch->fd);
    watches_.erase(completion.id);
    return;
  }
  watch->readable();
  if (watches_.contains(completion.id)) ArmWatch(completion.id, *watch);
}

void UringLoop::Drain(const std::function<void(const Completion&)>& handler) {
  if (!OnLoopThread()) return;
  const TimeNs give_up = Now() + kDrainNs;
  bool quiet = true;  // nothing has ended for a while, so that what is left has to be cancelled
  while (ring_->in_flight() > 0) {
    const TimeNs now = Now();
    if (now >= give_up) {
      base::Log(base::LogLevel::kError, "io", "operations did not end after they were cancelled",
                {{"left", ring_->in_flight()}});
      return;
    }
    if (quiet) ring_->QueueCancelAll();
    if (!ring_->SubmitAndWait(now, now + kCancelAgainNs)) return;
    quiet = ring_->ready() == 0;
    while (const std::optional<Completion> completion = ring_->Take()) handler(*completion);
  }
}

}  // namespace clustix::io
