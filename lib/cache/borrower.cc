// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/borrower.h"

#include <cassert>

namespace clustix::cache {

void Borrower::Accept(uint32_t set, uint64_t id, LoanTicket ticket) {
  assert(ticket.slot < kLoans);
  // What was lent in that slot before is not any more, or the daemon would not use it again.
  const auto before = tickets_.find(names_[ticket.slot]);
  if (before != tickets_.end() && before->second.slot == ticket.slot) tickets_.erase(before);
  names_[ticket.slot] = Name(set, id);
  tickets_[Name(set, id)] = ticket;
}

}  // namespace clustix::cache
