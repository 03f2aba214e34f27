// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/host_region.h"

#include <cassert>
#include <utility>

#include "lib/base/status.h"

namespace clustix::cache {

absl::StatusOr<std::unique_ptr<HostRegion>> HostRegion::Create() {
  ASSIGN_OR_RETURN(SharedMemory memory,
                   SharedMemory::Create("clustix-client", sizeof(Region), Access::kWrite));
  RETURN_IF_ERROR(memory.Reserve(0, offsetof(Region, staging)));
  using Bells = std::pair<Bell, Bell>;
  ASSIGN_OR_RETURN(Bells bells, Bell::CreatePair());
  auto* region = reinterpret_cast<Region*>(memory.data());
  region->magic = kRegionMagic;
  region->version = kLayoutVersion;
  return std::unique_ptr<HostRegion>(
      new HostRegion(std::move(memory), std::move(bells.first), std::move(bells.second)));
}

HostRegion::HostRegion(SharedMemory memory, Bell bell, Bell client_bell)
    : memory_(std::move(memory)),
      bell_(std::move(bell)),
      client_bell_(std::move(client_bell)),
      requests_(&region()->request_tail, &region()->request_head, &region()->requests),
      replies_(&region()->reply_tail, &region()->reply_head, &region()->replies) {}

// A client keeps at most kRingSlots questions for which it has not taken the answer, so that there
// is always room to answer: one that asks more could make us keep answers for it without bound.
RingResult HostRegion::NextRequest(Request* request) {
  if (unanswered_ == kRingSlots) {
    return requests_.HasNews() ? RingResult::kBroken : RingResult::kNotNow;
  }
  const RingResult result = requests_.Pop(request);
  if (result == RingResult::kDone) ++unanswered_;
  return result;
}

RingResult HostRegion::Answer(const Reply& reply, bool more) {
  assert(unanswered_ > 0);
  --unanswered_;
  if (replies_.Push(reply) != RingResult::kDone) return RingResult::kBroken;
  if (!more) Announce();
  return RingResult::kDone;
}

void HostRegion::Announce() {
  // Before the client sleeps, it says so and looks again: one of us sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Word& sleeps = region()->client_sleeps;
  if (sleeps.load(std::memory_order_relaxed) != 0) {
    sleeps.store(0, std::memory_order_relaxed);
    bell_.Ring();
  }
}

std::byte* HostRegion::Staged(const Request& request) const {
  const uint64_t end = uint64_t{request.staged_offset} + request.staged_bytes;
  if (request.staged_offset % kLineBytes != 0 || request.staged_bytes > kObjectBytesMax ||
      end > kStagingBytes) {
    return nullptr;
  }
  return region()->staging.data() + request.staged_offset;
}

void HostRegion::CollectPins(std::vector<uint64_t>* names) const {
  for (const PinStripe& stripe : region()->stripes) {
    for (const Word& slot : stripe.slots) {
      const uint64_t name = slot.load(std::memory_order_acquire);
      if (name != 0) names->push_back(name);
    }
  }
}

}  // namespace clustix::cache
