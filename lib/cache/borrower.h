// SPDX-License-Identifier: Apache-2.0
//
// A client's side of loans (lender.h): grab and put of objects that are lent to it, without a word
// with the daemon. A Borrower is for one thread at a time; what it has grabbed, for any one thread.
#ifndef CLUSTIX_LIB_CACHE_BORROWER_H_
#define CLUSTIX_LIB_CACHE_BORROWER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "lib/cache/client_region.h"
#include "lib/cache/layout.h"
#include "lib/cache/lender.h"
#include "lib/cache/node_view.h"

namespace clustix::cache {

enum class GrabResult {
  kGrabbed,
  kNotLent,  // not, or not any more: ask the daemon
  kNoLease,  // the daemon is stopped or cut off
  kHeld,     // it is grabbed already
};

enum class PutResult {
  kCommitted,
  kUnknown,  // the daemon has taken the object back, or the lease ran out, at this moment
};

class Borrower;

// An object between grab and put. Without Put(), the destructor leaves it as it was.
class Grabbed {
 public:
  Grabbed() = default;
  Grabbed(const Grabbed&) = delete;
  Grabbed& operator=(const Grabbed&) = delete;
  inline ~Grabbed();

  // The object's bytes, to be changed; bytes() of them are its value so far, the rest is anything.
  std::span<std::byte, kLoanBytesMax> buffer() const {
    return std::span<std::byte, kLoanBytesMax>(buffer_, kLoanBytesMax);
  }
  uint32_t bytes() const { return before_.bytes(); }
  // The value so far, as it was.
  std::span<const std::byte> before() const {
    return {slot_->buffers[before_.buffer()].data(), before_.bytes()};
  }
  // Makes the first `bytes` of the buffer, 1 to kLoanBytesMax, the object's value.
  inline PutResult Put(uint32_t bytes);
  // Leaves the object as it was.
  inline void Abort();

 private:
  friend class Borrower;
  Borrower* borrower_ = nullptr;  // nullptr: nothing is grabbed
  LoanSlot* slot_ = nullptr;
  uint64_t number_ = 0;
  std::byte* buffer_ = nullptr;
  LoanCommit before_{0, 0, 0};
};

class Borrower {
 public:
  // Both must live as long. One per region.
  Borrower(const NodeView* node, ClientRegion* region)
      : node_(node), region_(region), fence_(node->fence()) {}

  // The daemon's reply has granted the loan.
  void Accept(uint32_t set, uint64_t id, LoanTicket ticket);
  // Into `grabbed`, which is empty.
  inline GrabResult Grab(uint32_t set, uint64_t id, Grabbed* grabbed);

 private:
  friend class Grabbed;
  using Name = std::pair<uint32_t, uint64_t>;
  // Lets go of the slot, and says so to a daemon that waits for that.
  void End(LoanSlot* slot, uint64_t number) const {
    slot->in_use.store(0, std::memory_order_release);
    fence_.Pass();
    if (slot->lent.load(std::memory_order_relaxed) != number) [[unlikely]]
      region_->RingDaemon();
  }

  const NodeView* node_;
  ClientRegion* region_;
  LightFence fence_;
  absl::flat_hash_map<Name, LoanTicket> tickets_;
  std::array<Name, kLoans> names_;  // of the last ticket for each slot
};

inline GrabResult Borrower::Grab(uint32_t set, uint64_t id, Grabbed* grabbed) {
  const auto found = tickets_.find(Name(set, id));
  if (found == tickets_.end()) return GrabResult::kNotLent;
  const LoanTicket ticket = found->second;
  LoanSlot& slot = region_->loans()[ticket.slot];
  // Another loan may be in the slot by now, and in use: so this look comes before the slot is
  // touched.
  if (slot.lent.load(std::memory_order_relaxed) != ticket.number) [[unlikely]] {
    tickets_.erase(found);
    return GrabResult::kNotLent;
  }
  // Acquire: another thread may have put before.
  if (slot.in_use.load(std::memory_order_acquire) != 0) [[unlikely]]
    return GrabResult::kHeld;
  slot.in_use.store(1, std::memory_order_relaxed);
  fence_.Pass();
  if (slot.lent.load(std::memory_order_acquire) != ticket.number) [[unlikely]] {
    End(&slot, ticket.number);
    tickets_.erase(found);
    return GrabResult::kNotLent;
  }
  if (!node_->LeaseHolds()) {
    End(&slot, ticket.number);
    return GrabResult::kNoLease;
  }
  const auto current = LoanCommit::FromWord(slot.current.load(std::memory_order_relaxed));
  const unsigned other = 1 - current.buffer();
  std::memcpy(slot.buffers[other].data(), slot.buffers[current.buffer()].data(),
              current.bytes() <= kLoanBytesMax ? current.bytes() : 0);
  grabbed->borrower_ = this;
  grabbed->slot_ = &slot;
  grabbed->number_ = ticket.number;
  grabbed->buffer_ = slot.buffers[other].data();
  grabbed->before_ = current;
  return GrabResult::kGrabbed;
}

// The store into `current` is the commit. If the loan is not gone after the fence, the daemon will
// find the commit when it takes the object; and if the lease holds, it was in time.
inline PutResult Grabbed::Put(uint32_t bytes) {
  Borrower* borrower = std::exchange(borrower_, nullptr);
  slot_->current.store(LoanCommit(1 - before_.buffer(), bytes, before_.count() + 1).word(),
                       std::memory_order_release);
  borrower->fence_.Pass();
  const bool ours = (slot_->lent.load(std::memory_order_relaxed) & ~kRecalled) == number_;
  const bool in_time = borrower->node_->LeaseHolds();
  borrower->End(slot_, number_);
  return ours && in_time ? PutResult::kCommitted : PutResult::kUnknown;
}

inline void Grabbed::Abort() {
  if (borrower_ != nullptr) std::exchange(borrower_, nullptr)->End(slot_, number_);
}

inline Grabbed::~Grabbed() { Abort(); }

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_BORROWER_H_
