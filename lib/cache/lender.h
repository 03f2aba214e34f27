// SPDX-License-Identifier: Apache-2.0
//
// The daemon's side of loans: an object of a volatile set that one client grabs again and again is
// lent to it, and lives in that client's region until somebody else wants it. While it is lent,
// grab and put cost the client no word with the daemon; and the daemon gets it back without one,
// unless the client is just between grab and put.
//
// An object that is lent stands in no index, so whoever else looks for it asks the daemon. Only for
// sets that promise nothing across a crash of the node, and to clients that may write the object:
// what the client's last commit says is the object's value, as if the client had put it. One Lender
// per client; the daemon's cache thread.
#ifndef CLUSTIX_LIB_CACHE_LENDER_H_
#define CLUSTIX_LIB_CACHE_LENDER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/cache/barrier.h"
#include "lib/cache/host_region.h"
#include "lib/cache/layout.h"

namespace clustix::cache {

// Names a loan to the client: goes into the reply that grants it. The slot, and the loan's number.
struct LoanTicket {
  uint64_t number = 0;  // even, never used again in this region
  uint32_t slot = 0;
  uint64_t word() const { return number << 8 | slot; }
  static LoanTicket FromWord(uint64_t word) {
    return {.number = word >> 8, .slot = static_cast<uint32_t>(word & 0xff)};
  }
};
static_assert(kLoans <= 256);

// An object that has come back.
struct ReturnedObject {
  uint64_t object_version = 0;
  std::vector<std::byte> data;
};

class Lender {
 public:
  // `region` must live as long.
  Lender(HostRegion* region, HeavyFence fence) : region_(region), fence_(fence) {}

  // `data`, at most kLoanBytesMax bytes, is the object's last value, which stands in no index any
  // more; each commit adds one to `object_version`. Nothing: the client has kLoans already.
  std::optional<LoanTicket> Lend(uint64_t object_version, std::span<const std::byte> data);
  // Takes the object back. Nothing: the client is between grab and put; it will ring when it is
  // not, and then this is to be called again. If that takes too long, Seize() it.
  std::optional<ReturnedObject> Recall(LoanTicket ticket);
  // Takes the last committed version back at once: from a client that is dead, or has held it for
  // too long. If such a one commits at this moment, it is told that the outcome is unknown.
  ReturnedObject Seize(LoanTicket ticket);

 private:
  struct Loan {
    uint64_t number = 0;  // 0: not lent
    bool seized = false;  // maybe while the client used it, and it has not let go yet
    uint64_t object_version = 0;
    std::vector<std::byte> lent;  // what it was: counts if what the client commits is no object
  };

  bool IsFree(const Loan& loan) const;
  Loan& LoanOf(LoanTicket ticket);
  ReturnedObject Take(LoanTicket ticket);

  HostRegion* region_;
  HeavyFence fence_;
  uint64_t next_number_ = 2;
  std::array<Loan, kLoans> loans_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_LENDER_H_
