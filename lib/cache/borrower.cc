// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/borrower.h"

#include <cassert>

namespace clustix::cache {

void Borrower::Accept(uint32_t set, uint64_t id, LoanTicket ticket) {
  assert(ticket.slot < kLoans);
  tickets_[Name(set, id)] = ticket;
}

}  // namespace clustix::cache
