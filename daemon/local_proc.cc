// SPDX-License-Identifier: Apache-2.0
#include "daemon/local_proc.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

absl::Status Stopping() { return absl::CancelledError("the daemon is stopping"); }

}  // namespace

LocalProc::LocalProc(Collect collect, Look look)
    : collect_(std::move(collect)), look_(std::move(look)), thread_([this] { Run(); }) {}

void LocalProc::Stop() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::vector<Waiting> left;
  {
    base::MutexLock lock(mutex_);
    left.swap(waiting_);
  }
  for (Waiting& waiting : left) waiting.done(Stopping());
}

void LocalProc::Get(std::chrono::milliseconds max_age, Done done) {
  TimePoint oldest = std::chrono::steady_clock::now() - max_age;
  absl::StatusOr<Collected> now = absl::UnknownError("to be collected");
  {
    base::MutexLock lock(mutex_);
    if (stopping_) {
      now = Stopping();
    } else if (last_.snapshot != nullptr && last_.taken >= oldest) {
      now = last_;
    } else if (waiting_.size() >= kWaitingMax) {
      now = absl::ResourceExhaustedError("too many wait for this node's processes");
    } else {
      waiting_.push_back({oldest, std::move(done)});
      wake_.notify_one();
      return;
    }
  }
  done(now);
}

std::vector<LocalProc::Done> LocalProc::TakeServed(TimePoint taken) {
  auto kept = std::partition(waiting_.begin(), waiting_.end(),
                             [taken](const Waiting& waiting) { return waiting.oldest > taken; });
  std::vector<Done> served;
  for (auto waiting = kept; waiting != waiting_.end(); ++waiting) {
    served.push_back(std::move(waiting->done));
  }
  waiting_.erase(kept, waiting_.end());
  return served;
}

absl::StatusOr<LocalProc::Collected> LocalProc::CollectSince(TimePoint taken) {
  ASSIGN_OR_RETURN(proc::NodeSnapshot snapshot, collect_());
  return Collected{std::make_shared<const proc::NodeSnapshot>(std::move(snapshot)), taken};
}

void LocalProc::Run() {
  for (;;) {
    {
      base::MutexLock lock(mutex_);
      while (waiting_.empty() && !stopping_) wake_.wait(mutex_);
      if (stopping_) return;
    }
    const TimePoint taken = std::chrono::steady_clock::now();
    absl::StatusOr<Collected> result = CollectSince(taken);
    std::vector<Done> served;
    {
      base::MutexLock lock(mutex_);
      if (result.ok()) last_ = *result;
      served = TakeServed(taken);
    }
    for (Done& done : served) done(result);
  }
}

}  // namespace clustix::daemon
