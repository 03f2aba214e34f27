// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/lender.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "lib/cache/words.h"

namespace clustix::cache {

std::optional<LoanTicket> Lender::Lend(uint64_t object_version, std::span<const std::byte> data) {
  assert(!data.empty() && data.size() <= kLoanBytesMax);
  const auto free =
      std::find_if(loans_.begin(), loans_.end(), [this](const Loan& loan) { return IsFree(loan); });
  if (free == loans_.end()) return std::nullopt;
  *free = {.number = next_number_,
           .object_version = object_version,
           .lent = std::vector<std::byte>(data.begin(), data.end())};
  next_number_ += 2;
  const auto index = static_cast<uint32_t>(free - loans_.begin());
  LoanSlot& slot = region_->loans()[index];
  CopyToShared(slot.buffers[0].data(), data.data(), data.size());
  slot.current.store(LoanCommit(0, static_cast<uint32_t>(data.size()), 0).word(),
                     std::memory_order_relaxed);
  slot.lent.store(free->number, std::memory_order_release);
  return LoanTicket{.number = free->number, .slot = index};
}

// 1. Say that it is wanted; 2. fence; 3. look whether the client uses it. The client 1. says that
// it uses it; 2. passes its light fence; 3. looks whether it is wanted, both when it begins and
// when it ends. So it does not begin unseen, and does not end without ringing.
std::optional<ReturnedObject> Lender::Recall(LoanTicket ticket) {
  const Loan& loan = LoanOf(ticket);
  LoanSlot& slot = region_->loans()[ticket.slot];
  slot.lent.store(loan.number | kRecalled, std::memory_order_relaxed);
  fence_.Pass();
  if (slot.in_use.load(std::memory_order_acquire) != 0) return std::nullopt;
  return Take(ticket);
}

// 1. Say that it is gone; 2. fence; 3. look at the last commit. The client 1. commits; 2. passes
// its light fence; 3. looks whether it is gone. So what it takes for committed has been seen here.
ReturnedObject Lender::Seize(LoanTicket ticket) {
  region_->loans()[ticket.slot].lent.store(0, std::memory_order_relaxed);
  fence_.Pass();
  ReturnedObject object = Take(ticket);
  loans_[ticket.slot].seized = true;
  return object;
}

// A client that was seized from may still put, and finds out only then: until it has let go, what
// it writes would go into the next loan of the slot. Once it has, it looks before it touches.
// Acquire: what it wrote comes before what is lent next.
bool Lender::IsFree(const Loan& loan) const {
  if (loan.number != 0) return false;
  const LoanSlot& slot = region_->loans()[static_cast<size_t>(&loan - loans_.data())];
  return !loan.seized || slot.in_use.load(std::memory_order_acquire) == 0;
}

Lender::Loan& Lender::LoanOf(LoanTicket ticket) {
  assert(ticket.slot < kLoans && loans_[ticket.slot].number == ticket.number);
  return loans_[ticket.slot];
}

ReturnedObject Lender::Take(LoanTicket ticket) {
  Loan loan = std::exchange(LoanOf(ticket), Loan{});
  LoanSlot& slot = region_->loans()[ticket.slot];
  slot.lent.store(0, std::memory_order_relaxed);
  const auto commit = LoanCommit::FromWord(slot.current.load(std::memory_order_acquire));
  ReturnedObject object = {.object_version = loan.object_version, .data = std::move(loan.lent)};
  if (commit.bytes() < 1 || commit.bytes() > kLoanBytesMax) return object;  // no object
  object.object_version += commit.count();
  object.data.resize(commit.bytes());
  CopyFromShared(object.data.data(), slot.buffers[commit.buffer()].data(), commit.bytes());
  return object;
}

}  // namespace clustix::cache
