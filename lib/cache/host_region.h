// SPDX-License-Identifier: Apache-2.0
//
// The daemon's end of one client's region. The client may be stopped, killed or hostile at any
// moment: nothing here waits for it, and every word of its own is checked before it is used.
// Whoever gets kBroken drops the client. The daemon's cache thread.
#ifndef CLUSTIX_LIB_CACHE_HOST_REGION_H_
#define CLUSTIX_LIB_CACHE_HOST_REGION_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/cache/bell.h"
#include "lib/cache/layout.h"
#include "lib/cache/ring.h"
#include "lib/cache/shared_memory.h"

namespace clustix::cache {

class HostRegion {
 public:
  static absl::StatusOr<std::unique_ptr<HostRegion>> Create();

  // What the client is given: its memory, and its end of the bell, which this end then has no more
  // of, so that it notices when the client is gone.
  const base::UniqueFd& fd_for_client() const { return memory_.fd_for_others(); }
  Bell TakeClientBell() { return std::move(client_bell_); }
  // Readable when the client asks for attention, or is gone.
  const Bell& bell() const { return bell_; }

  RingResult NextRequest(Request* request);
  bool HasRequests() const { return requests_.HasNews(); }
  // Each request has one reply, in any order. `more`: others follow, so that the client need not be
  // woken yet; Announce() does that later.
  RingResult Answer(const Reply& reply, bool more = false);
  // Wakes the client if it sleeps, and there is something that it has not seen.
  void Announce();
  // Requests that are to be answered.
  uint64_t unanswered() const { return unanswered_; }

  // The bytes that `request` says are staged, which the client may still change; nullptr: they are
  // not within the staging area.
  std::byte* Staged(const Request& request) const;
  // The client's slots for what it is lent; a Lender uses them.
  std::array<LoanSlot, kLoans>& loans() const { return region()->loans; }
  // Appends the names (PinName) of all blocks that the client pins.
  void CollectPins(std::vector<uint64_t>* names) const;

 private:
  HostRegion(SharedMemory memory, Bell bell, Bell client_bell);
  Region* region() const { return reinterpret_cast<Region*>(memory_.data()); }

  SharedMemory memory_;
  Bell bell_;
  Bell client_bell_;
  RingConsumer<Request> requests_;
  RingProducer<Reply> replies_;
  uint64_t unanswered_ = 0;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_HOST_REGION_H_
