// SPDX-License-Identifier: Apache-2.0
//
// Watchers: one request for each, which the daemon answers once something has changed, and which is
// asked again when the event has been taken: so a program that is slow is told less often, and
// nothing piles up. Threads as in clustix/sets.h.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "lib/base/mutex.h"
#include "lib/base/unique_fd.h"
#include "lib/client/guard_access.h"
#include "lib/client/set_session.h"

namespace clustix {

using client::Call;
using client::Patience;
using client::SetRequestKind;

class WatchState : public std::enable_shared_from_this<WatchState> {
 public:
  WatchState(std::shared_ptr<SetHandle> set, ObjectId first, ObjectId last, WatchCallback callback,
             base::UniqueFd fd)
      : set_(std::move(set)),
        line_(set_->session().line()),
        first_(first),
        last_(last),
        callback_(std::move(callback)),
        fd_(std::move(fd)) {}

  // Waits until the daemon says that nothing is missed any more, and asks.
  SetOutcome Begin(const Patience& patience);
  // Asks for the next event. False: nobody is there.
  bool Arm();
  SetOutcome Next(WatchEvent* event, const Patience& patience);
  void Close();
  int fd() const { return fd_.get(); }

 private:
  void Told(const Call& call);
  void Tell(SetOutcome outcome, const WatchEvent& event);
  bool IsClosed() {
    const base::MutexLock lock(mutex_);
    return closed_;
  }

  // Until Close(). What the daemon still owes keeps this object, but must not keep the session.
  std::shared_ptr<SetHandle> set_;
  const std::shared_ptr<client::Line> line_;
  const ObjectId first_, last_;
  const WatchCallback callback_;
  const base::UniqueFd fd_;
  bool has_place_ = false;  // in the exchange
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t cookie_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<std::thread::id> runs_on_ ABSL_GUARDED_BY(mutex_);  // the callback, now
  SetOutcome ended_ ABSL_GUARDED_BY(mutex_) = SetOutcome::kOk;  // why there are no events any more
  std::optional<WatchEvent> event_ ABSL_GUARDED_BY(mutex_);
};

// Not by the thread of the watchers, which may be the one that calls.
SetOutcome WatchState::Begin(const Patience& patience) {
  const SetOutcome place = line_->exchange.SetAside(patience);
  has_place_ = place == SetOutcome::kOk;
  if (!has_place_) return place == SetOutcome::kDeadline ? SetOutcome::kNoSpace : place;
  Call call{
      .kind = SetRequestKind::kWatch, .set = set_->number(), .object = first_, .argument = last_};
  line_->exchange.Run(call, patience);
  if (call.outcome != SetOutcome::kOk) return call.outcome;
  return Arm() ? SetOutcome::kOk : SetOutcome::kUnavailable;
}

bool WatchState::Arm() {
  const base::MutexLock lock(mutex_);
  if (closed_) return true;
  const Call call{
      .kind = SetRequestKind::kWatch, .set = set_->number(), .object = first_, .argument = last_};
  // Told() waits for our lock, so that the cookie is there before the event.
  cookie_ = line_->exchange.Begin(
      call, [self = shared_from_this()](const Call& ended) { self->Told(ended); });
  return cookie_ != 0;
}

void WatchState::Told(const Call& call) {
  const bool any = call.reply.object_version == client::kAnyVersion;
  const WatchEvent event{
      .object = call.reply.argument, .version = any ? 0 : call.reply.object_version, .any = any};
  if (callback_ != nullptr) return Tell(call.outcome, event);
  const base::MutexLock lock(mutex_);
  if (call.outcome == SetOutcome::kOk) {
    event_ = event;
  } else {
    ended_ = call.outcome;
  }
  eventfd_write(fd_.get(), 1);
  changed_.notify_all();
}

void WatchState::Tell(SetOutcome outcome, const WatchEvent& event) {
  {
    const base::MutexLock lock(mutex_);
    if (closed_) return;
    runs_on_ = std::this_thread::get_id();
  }
  // Asked again first: what changes while the callback runs is told by the next.
  const bool armed = outcome == SetOutcome::kOk && Arm();
  callback_(outcome, event);
  if (outcome == SetOutcome::kOk && !armed && !IsClosed()) callback_(SetOutcome::kUnavailable, {});
  const base::MutexLock lock(mutex_);
  runs_on_.reset();
  changed_.notify_all();
}

SetOutcome WatchState::Next(WatchEvent* event, const Patience& patience) {
  const auto cancel = [this] {
    const base::MutexLock lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  };
  if (patience.cancel != nullptr && !patience.cancel->Begin(this, cancel)) {
    return SetOutcome::kCancelled;
  }
  SetOutcome outcome = SetOutcome::kOk;
  bool taken = false;
  {
    const base::MutexLock lock(mutex_);
    bool in_time = true;
    while (!event_ && ended_ == SetOutcome::kOk && !cancelled_ && in_time) {
      if (patience.deadline_ns == client::kNever) {
        changed_.wait(mutex_);
        continue;
      }
      const auto until = std::chrono::steady_clock::time_point(
          std::chrono::nanoseconds(static_cast<int64_t>(patience.deadline_ns)));
      in_time = changed_.wait_until(mutex_, until) == std::cv_status::no_timeout;
    }
    taken = event_.has_value();
    if (taken) {
      *event = *std::exchange(event_, std::nullopt);
      eventfd_t none;
      eventfd_read(fd_.get(), &none);
    } else if (ended_ != SetOutcome::kOk) {
      outcome = ended_;
    } else {
      outcome = cancelled_ ? SetOutcome::kCancelled : SetOutcome::kDeadline;
    }
    cancelled_ = false;
  }
  if (patience.cancel != nullptr) patience.cancel->End(this);
  if (taken && !Arm()) {
    const base::MutexLock lock(mutex_);
    ended_ = SetOutcome::kUnavailable;
    eventfd_write(fd_.get(), 1);
  }
  return outcome;
}

void WatchState::Close() {
  if (!line_->exchange.IsOfThisProcess()) return;
  uint64_t cookie;
  {
    const base::MutexLock lock(mutex_);
    closed_ = true;
    cookie = cookie_;
    while (runs_on_ && *runs_on_ != std::this_thread::get_id()) changed_.wait(mutex_);
  }
  // If it has been answered, the daemon still keeps the range for the next request.
  if (has_place_ && !line_->exchange.Forget(cookie) && cookie != 0) {
    const Call cancel{.kind = SetRequestKind::kCancel, .set = set_->number(), .argument = cookie};
    line_->exchange.Post({&cancel, 1});
  }
  set_->session().RemoveWatch(set_->number(), first_, last_);
  set_ = nullptr;
}

// --- Watcher ---------------------------------------------------------------------------------

Watcher::Watcher(std::shared_ptr<WatchState> state) : state_(std::move(state)) {}
Watcher::Watcher(Watcher&&) noexcept = default;

Watcher& Watcher::operator=(Watcher&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Watcher::~Watcher() {
  if (state_ != nullptr) state_->Close();
}

int Watcher::fd() const { return state_->fd(); }

SetOutcome Watcher::Next(WatchEvent* event, const Wait& wait) {
  return state_->Next(event, Patience(wait));
}

namespace {

Error CannotWatch(SetOutcome outcome) {
  switch (outcome) {
    case SetOutcome::kInvalid:
      return {.code = ErrorCode::kUnsupported, .message = "the daemon here cannot watch objects"};
    case SetOutcome::kNoSpace:
      return {.code = ErrorCode::kNoSpace,
              .message = "too much is watched, or under way: end watchers"};
    case SetOutcome::kSetRemoved:
      return {.code = ErrorCode::kNotFound, .message = "the set has been removed"};
    case SetOutcome::kDeadline:
    case SetOutcome::kCancelled:
      return {.code = ErrorCode::kUnavailable,
              .message = "not all nodes that would tell of changes have answered in time"};
    default:
      return {.code = ErrorCode::kUnavailable,
              .message = "the daemon has ended the session (connect again)"};
  }
}

}  // namespace

Result<Watcher> GuardAccess::Watch(const std::shared_ptr<SetHandle>& set, ObjectId first,
                                   ObjectId last, WatchCallback callback, const Wait& wait) {
  if (first > last) {
    return Error{.code = ErrorCode::kInvalidArgument,
                 .message = "the first object to be watched comes after the last"};
  }
  base::UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) {
    return Error{.code = ErrorCode::kSystem,
                 .message = std::string("cannot make an eventfd: ") + std::strerror(errno)};
  }
  if (!set->session().exchange().alive()) {
    return Error{.code = ErrorCode::kUnavailable,
                 .message = "the daemon has ended the session (connect again)"};
  }
  if (std::optional<Error> error = set->session().AddWatch(set->number(), first, last)) {
    return *std::move(error);
  }
  Watcher watcher(
      std::make_shared<WatchState>(set, first, last, std::move(callback), std::move(fd)));
  const SetOutcome begun = watcher.state_->Begin(Patience(wait));
  if (begun != SetOutcome::kOk) return CannotWatch(begun);
  return watcher;
}

}  // namespace clustix
