// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/loan_book.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace clustix::daemon {

void LoanBook::OnGrab(const Borrower& borrower, const kddm::ObjectKey& key) {
  Streak& streak = StreakOf(key);
  if (!(streak.key == key)) streak = {.key = key};
  const bool is_here = driver_.engine().holder().Access(key) == kddm::State::kExclusive;
  streak.grabs = is_here && streak.borrower == borrower.id_ ? streak.grabs + 1 : 0;
  streak.borrower = borrower.id_;
}

uint64_t LoanBook::Lend(Borrower& borrower, const Through& through, const kddm::ObjectKey& key,
                        kddm::OpId hold, const kddm::Data& data) {
  const Streak& streak = StreakOf(key);
  const bool earned =
      streak.key == key && streak.borrower == borrower.id_ && streak.grabs >= streak.needed;
  if (!earned || data->size() > cache::kLoanBytesMax || store_.Room() < cache::kLoanBytesMax ||
      driver_.engine().holder().IsAwaited(key) || driver_.engine().watchers().Covers(key) ||
      !MakeRoom(borrower)) {
    return 0;
  }
  const std::optional<cache::LoanTicket> ticket = borrower.lender_.Lend(0, *data);
  if (!ticket) return 0;
  // From here on who else looks for it asks: before the program learns that it may write.
  store_.Lend(key);
  loans_[key] = {.borrower = &borrower, .through = through, .ticket = *ticket, .hold = hold};
  borrower.slots_[ticket->slot] = key;
  ++borrower.lent_;
  ++through.set->loans;
  ++counters_.made;
  return ticket->word();
}

// The hand goes round: whatever it finds has been lent for longest, by and large, and what is used
// a lot is soon lent again.
bool LoanBook::MakeRoom(Borrower& borrower) {
  for (size_t looked = 0; borrower.lent_ == cache::kLoans && looked < cache::kLoans; ++looked) {
    borrower.hand_ = (borrower.hand_ + 1) % cache::kLoans;
    const std::optional<kddm::ObjectKey> key = borrower.slots_[borrower.hand_];
    if (key && !loans_.at(*key).recalled) Recall(*key);
  }
  return borrower.lent_ < cache::kLoans;
}

void LoanBook::OnRing(Borrower& borrower) {
  for (size_t slot = 0; borrower.recalled_ > 0 && slot < cache::kLoans; ++slot) {
    const std::optional<kddm::ObjectKey> key = borrower.slots_[slot];
    if (key && loans_.at(*key).recalled) Recall(*key);
  }
}

void LoanBook::TakeHandle(Borrower& borrower, uint32_t handle) {
  for (const std::optional<kddm::ObjectKey>& slot : borrower.slots_) {
    if (const auto key = slot; key && loans_.at(*key).through.handle == handle) Seize(*key);
  }
}

void LoanBook::TakeAll(Borrower& borrower) {
  for (const std::optional<kddm::ObjectKey>& slot : borrower.slots_) {
    if (const auto key = slot) Seize(*key);
  }
}

void LoanBook::OnWanted(const kddm::ObjectKey& key) {
  const auto loan = loans_.find(key);
  if (loan != loans_.end() && !loan->second.recalled) Recall(key);
}

void LoanBook::OnOverdue(const kddm::ObjectKey& key) {
  if (loans_.contains(key)) Seize(key);
}

void LoanBook::OnWatched() {
  std::vector<kddm::ObjectKey> watched;
  for (const auto& [key, loan] : loans_) {
    if (!loan.recalled && driver_.engine().watchers().Covers(key)) watched.push_back(key);
  }
  for (const kddm::ObjectKey& key : watched) OnWanted(key);
}

bool LoanBook::Recall(const kddm::ObjectKey& key) {
  const auto loan = loans_.find(key);
  Borrower& borrower = *loan->second.borrower;
  if (!std::exchange(loan->second.recalled, true)) {
    ++borrower.recalled_;
    ++counters_.recalled;
  }
  std::optional<cache::ReturnedObject> object = borrower.lender_.Recall(loan->second.ticket);
  if (!object) return false;
  Return(loan, *std::move(object));
  return true;
}

void LoanBook::Seize(const kddm::ObjectKey& key) {
  const auto loan = loans_.find(key);
  ++counters_.seized;
  Return(loan, loan->second.borrower->lender_.Seize(loan->second.ticket));
}

// The book is closed first: to put the object back makes others' operations begin, and who is told
// of their end may be lent it at once.
void LoanBook::Return(Loans::iterator at, cache::ReturnedObject object) {
  const kddm::ObjectKey key = at->first;
  const Loan loan = at->second;
  loans_.erase(at);
  loan.borrower->slots_[loan.ticket.slot].reset();
  --loan.borrower->lent_;
  if (loan.recalled) --loan.borrower->recalled_;
  const uint64_t writes = object.object_version;  // it was 0 when it was lent
  loan.through.set->lent_writes += writes;
  if (Streak& streak = StreakOf(key); streak.key == key) {
    streak.grabs = 0;
    streak.needed =
        writes >= kWorthwhile ? kGrabsBefore : std::min(streak.needed * 2, kGrabsBeforeMax);
  }
  store_.EndLoan(key);
  driver_.Put(loan.hold, std::make_shared<const std::vector<std::byte>>(std::move(object.data)), 0,
              [this](const kddm::Completion& put) {
                if (put.status != kddm::Status::kOk) ++counters_.failed;
              });
}

}  // namespace clustix::daemon
