// SPDX-License-Identifier: Apache-2.0
//
// Which objects are lent to which programs (docs/CACHE.md, "Loans"): decides when a program is lent
// what it grabs, and takes it back when somebody else wants it.
//
// To the engine a loan is one long hold: the grab before the put that was answered with the loan.
// It ends with one put, of whatever the program committed last. So nobody else in the cluster is
// granted the object before it is back, and the engine tells by its timer for holds that it is
// wanted. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_LOAN_BOOK_H_
#define CLUSTIX_DAEMON_OBJECTS_LOAN_BOOK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/objects/driver.h"
#include "daemon/objects/open_set.h"
#include "daemon/objects/shared_store.h"
#include "lib/cache/lender.h"

namespace clustix::daemon {

class LoanBook {
 public:
  // A program is lent an object when it has found it writable on this node, with no other program
  // in between, this many times in a row; ...
  static constexpr uint32_t kGrabsBefore = 2;
  // ... and after a loan that was wanted back before it was written this often, twice as many times
  // as before, up to kGrabsBeforeMax: what is passed around is not lent at each turn.
  static constexpr uint64_t kWorthwhile = 16;
  static constexpr uint32_t kGrabsBeforeMax = 4096;

  // What one program has been lent. The program's region outlives it; TakeAll() comes before its
  // end.
  class Borrower {
   public:
    Borrower(LoanBook& book, cache::HostRegion* region)
        : id_(++book.last_borrower_), lender_(region, book.fence_) {}

   private:
    friend class LoanBook;
    const uint64_t id_;
    cache::Lender lender_;
    std::array<std::optional<kddm::ObjectKey>, cache::kLoans> slots_;  // what is in each
    size_t lent_ = 0;
    size_t recalled_ = 0;  // of these, wanted back
    size_t hand_ = 0;      // where MakeRoom() goes on
  };

  struct Counters {
    uint64_t made = 0;
    uint64_t recalled = 0;  // wanted back, by others or for room
    uint64_t seized = 0;    // taken from a program that held it for too long, or has gone
    uint64_t failed = 0;    // could not be put back: the node is out of the view
  };

  // By what a program uses a set, which it has open as long as anything is lent by it.
  struct Through {
    OpenSet* set = nullptr;
    uint32_t handle = 0;
  };

  // All must outlive it.
  LoanBook(Driver& driver, SharedStore& store, cache::HeavyFence fence)
      : driver_(driver), store_(store), fence_(fence) {}

  // The program asks to grab the object; before it is begun.
  void OnGrab(const Borrower& borrower, const kddm::ObjectKey& key);
  // The program puts `data`, for which there is room, into the object that it holds by `hold`. If
  // it is lent the object instead, returns the word of its ticket: `data` is put, and the hold is
  // the loan's. 0: it is not.
  uint64_t Lend(Borrower& borrower, const Through& through, const kddm::ObjectKey& key,
                kddm::OpId hold, const kddm::Data& data);
  // The program has rung its bell: maybe it does not use something any more that is wanted.
  void OnRing(Borrower& borrower);
  // Takes back, by force, what it was lent by one handle, or at all.
  void TakeHandle(Borrower& borrower, uint32_t handle);
  void TakeAll(Borrower& borrower);

  // Driver::HoldHooks.
  void OnWanted(const kddm::ObjectKey& key);
  void OnOverdue(const kddm::ObjectKey& key);
  // Whoever watches an object is told of each commit, so it is not lent.
  void OnWatched();

  size_t lent() const { return loans_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  struct KeyHash {
    size_t operator()(const kddm::ObjectKey& key) const { return kddm::HashKey(key); }
  };
  struct Loan {
    Borrower* borrower;
    Through through;
    cache::LoanTicket ticket;
    kddm::OpId hold;
    bool recalled = false;
  };
  using Loans = absl::flat_hash_map<kddm::ObjectKey, Loan, KeyHash>;
  // Grabs of one object by one program.
  struct Streak {
    kddm::ObjectKey key;
    uint64_t borrower = 0;
    uint32_t grabs = 0;
    uint32_t needed = kGrabsBefore;
  };
  // Objects whose streaks are known; others that share a place forget each other.
  static constexpr size_t kStreaks = 4096;

  Streak& StreakOf(const kddm::ObjectKey& key) { return streaks_[kddm::HashKey(key) % kStreaks]; }
  // False: the program uses all that it was lent.
  bool MakeRoom(Borrower& borrower);
  // False: the program uses it just now, and will ring.
  bool Recall(const kddm::ObjectKey& key);
  void Seize(const kddm::ObjectKey& key);
  void Return(Loans::iterator loan, cache::ReturnedObject object);

  Driver& driver_;
  SharedStore& store_;
  const cache::HeavyFence fence_;
  Loans loans_;
  std::vector<Streak> streaks_ = std::vector<Streak>(kStreaks);
  uint64_t last_borrower_ = 0;
  Counters counters_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_LOAN_BOOK_H_
