// SPDX-License-Identifier: Apache-2.0
//
// A client's own region, as the client uses it: stripes of pins for its threads, buffers for what
// it writes, and the ring on which it asks the daemon for what the cache does not have.
#ifndef CLUSTIX_LIB_CACHE_CLIENT_REGION_H_
#define CLUSTIX_LIB_CACHE_CLIENT_REGION_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/base/spin_policy.h"
#include "lib/cache/bell.h"
#include "lib/cache/layout.h"
#include "lib/cache/node_view.h"
#include "lib/cache/ring.h"
#include "lib/cache/shared_memory.h"
#include "lib/cache/staging.h"

namespace clustix::cache {

// How long a client looks out for an answer before it sleeps: see base::SpinPolicy.
inline constexpr uint64_t kClientSpinNs = 50'000;

class ClientRegion {
 public:
  // `fd` and `bell` come from the daemon; `node`, from the same one, must live as long.
  // `spin_ns` 0: never spin. kInvalidArgument: it is no region, or of another layout.
  static absl::StatusOr<std::unique_ptr<ClientRegion>> Map(const base::UniqueFd& fd, Bell bell,
                                                           const NodeView* node,
                                                           uint64_t spin_ns = kClientSpinNs);

  // A stripe of pins for one thread; nullptr: all are taken. Any thread.
  PinStripe* TakeStripe();
  void GiveStripe(PinStripe* stripe);

  // This client's slots for what it is lent; a Borrower uses them.
  std::array<LoanSlot, kLoans>& loans() const { return region()->loans; }
  // Tells the daemon to look at what this client has done other than to ask. Any thread.
  void RingDaemon() const { bell_.Ring(); }

  // Which part of staging() is whose. Any thread.
  Staging& staging_use() { return staging_use_; }
  std::byte* staging() const { return region()->staging.data(); }

  // Ends the session: whoever awaits a reply, or will, gets kUnavailable, and the daemon learns
  // that this client is gone. Any thread.
  void Close() const { bell_.Close(); }

  // The rest is for two threads at a time: one that asks, and one that awaits replies.
  // kNotNow: kRingSlots questions wait for their answers already; take some first. `more`: another
  // question follows at once, so that only the last one need wake the daemon.
  RingResult Ask(const Request& request, bool more = false);
  // The next answer, waited for until `deadline_ns` of CLOCK_MONOTONIC. kDeadlineExceeded: there is
  // none yet; kUnavailable: the daemon is gone; kInternal: the ring is broken, reconnect.
  absl::StatusOr<Reply> AwaitReply(uint64_t deadline_ns);
  // Whether AwaitReply() would not wait. For the thread that may call it.
  bool HasReply() const { return replies_.HasNews(); }

 private:
  ClientRegion(Mapping mapping, Bell bell, const NodeView* node, uint64_t spin_ns);
  Region* region() const { return reinterpret_cast<Region*>(mapping_.data()); }
  void Spin(uint64_t deadline_ns);
  absl::Status Sleep(uint64_t deadline_ns);

  Mapping mapping_;
  Bell bell_;
  const NodeView* node_;
  std::atomic<uint64_t> stripes_taken_{0};  // a bit each
  Staging staging_use_;
  RingProducer<Request> requests_;
  RingConsumer<Reply> replies_;
  std::atomic<uint64_t> unanswered_{0};
  base::SpinPolicy spin_policy_;
};
static_assert(kStripes == 64, "one word says which stripes are taken");

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_CLIENT_REGION_H_
