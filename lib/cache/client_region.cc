// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/client_region.h"

#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "lib/base/look_out.h"
#include "lib/base/status.h"

namespace clustix::cache {

absl::StatusOr<std::unique_ptr<ClientRegion>> ClientRegion::Map(const base::UniqueFd& fd, Bell bell,
                                                                const NodeView* node,
                                                                uint64_t spin_ns) {
  ASSIGN_OR_RETURN(Mapping mapping, Mapping::Map(fd, sizeof(Region), Access::kWrite));
  const auto* region = reinterpret_cast<const Region*>(mapping.data());
  if (region->magic != kRegionMagic || region->version != kLayoutVersion) {
    return absl::InvalidArgumentError(
        "the daemon's shared memory has another layout than this program knows (both must be of "
        "one "
        "version of Clustix)");
  }
  return std::unique_ptr<ClientRegion>(
      new ClientRegion(std::move(mapping), std::move(bell), node, spin_ns));
}

ClientRegion::ClientRegion(Mapping mapping, Bell bell, const NodeView* node, uint64_t spin_ns)
    : mapping_(std::move(mapping)),
      bell_(std::move(bell)),
      node_(node),
      requests_(&region()->request_tail, &region()->request_head, &region()->requests),
      replies_(&region()->reply_tail, &region()->reply_head, &region()->replies),
      spin_policy_(spin_ns, base::IdleCoresProbe()) {}

PinStripe* ClientRegion::TakeStripe() {
  uint64_t taken = stripes_taken_.load(std::memory_order_relaxed);
  for (;;) {
    if (~taken == 0) return nullptr;
    const int free = std::countr_one(taken);
    if (stripes_taken_.compare_exchange_weak(taken, taken | uint64_t{1} << free,
                                             std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
      return &region()->stripes[static_cast<size_t>(free)];
    }
  }
}

void ClientRegion::GiveStripe(PinStripe* stripe) {
  const auto index = static_cast<uint64_t>(stripe - region()->stripes.data());
  stripes_taken_.fetch_and(~(uint64_t{1} << index), std::memory_order_release);
}

RingResult ClientRegion::Ask(const Request& request, bool more) {
  if (unanswered_.load(std::memory_order_acquire) == kRingSlots) return RingResult::kNotNow;
  // Before the push, after which the answer may be counted at any time.
  unanswered_.fetch_add(1, std::memory_order_relaxed);
  const RingResult result = requests_.Push(request);
  if (result != RingResult::kDone) {
    unanswered_.fetch_sub(1, std::memory_order_relaxed);
    return result;
  }
  if (more) return result;
  // Before the daemon sleeps, it says so and looks again: one of us sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (node_->page().daemon_sleeps.load(std::memory_order_relaxed) != 0) bell_.Ring();
  return result;
}

absl::StatusOr<Reply> ClientRegion::AwaitReply(uint64_t deadline_ns) {
  Reply reply;
  absl::Status gone;
  for (;;) {
    const RingResult result = replies_.Pop(&reply);
    if (result == RingResult::kDone) {
      unanswered_.fetch_sub(1, std::memory_order_release);
      return reply;
    }
    if (result == RingResult::kBroken) {
      return absl::InternalError("the ring of answers from the daemon is broken");
    }
    // What the daemon said before it went is read first.
    RETURN_IF_ERROR(gone);
    Spin(deadline_ns);
    if (!replies_.HasNews()) gone = Sleep(deadline_ns);
  }
}

void ClientRegion::Spin(uint64_t deadline_ns) {
  const uint64_t now = MonotonicNs();
  const uint64_t budget = spin_policy_.Budget(now);
  if (budget == 0) return;
  base::LookOut(
      spin_policy_, std::min(deadline_ns, now + budget), [this] { return replies_.HasNews(); },
      MonotonicNs);
}

absl::Status ClientRegion::Sleep(uint64_t deadline_ns) {
  const uint64_t now = MonotonicNs();
  if (now >= deadline_ns) {
    return absl::DeadlineExceededError("the daemon has not answered in time");
  }
  Word& sleeps = region()->client_sleeps;
  sleeps.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  absl::Status status;
  if (!replies_.HasNews()) {
    const uint64_t left_ms = std::min<uint64_t>((deadline_ns - now + 999'999) / 1'000'000, 60'000);
    pollfd bell = {bell_.fd().get(), POLLIN, 0};
    const int ready = poll(&bell, 1, static_cast<int>(left_ms));
    if (ready > 0 && !bell_.Silence()) status = absl::UnavailableError("the daemon is gone");
  }
  sleeps.store(0, std::memory_order_relaxed);
  return status;
}

}  // namespace clustix::cache
