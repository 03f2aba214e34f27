// SPDX-License-Identifier: Apache-2.0
//
// Where the daemon keeps the values of objects: on its heap, within the node's budget, and those
// that programs may read a second time in the arena of their set, from the moment on when a program
// has the set open. An arena gives no memory back before it is closed, so only the heap can be
// counted on; what finds no room in an arena is read through the daemon.
//
// When SetReadable(false) or Drop() returns, no read that begins later finds the object: the engine
// acknowledges an invalidation only then. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_SHARED_STORE_H_
#define CLUSTIX_DAEMON_OBJECTS_SHARED_STORE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"
#include "lib/cache/host.h"
#include "lib/cache/object_store.h"
#include "lib/kddm/object_table.h"
#include "lib/kddm/store.h"

namespace clustix::daemon {

class SharedStore final : public kddm::Store {
 public:
  struct SetStats {
    uint64_t objects = 0;
    uint64_t readable = 0;     // of these
    uint64_t bytes = 0;        // of their values
    uint64_t arena_bytes = 0;  // of memory that programs share, index included
  };

  // What an object takes beside its value: records, index, allocator.
  static constexpr size_t kObjectOverheadBytes = 128;

  // `host` must outlive it.
  SharedStore(cache::Host& host, size_t budget_bytes) : host_(host), budget_bytes_(budget_bytes) {}

  // kddm::Store.
  void Keep(const kddm::ObjectKey& key, kddm::Version version, const kddm::Data& data) override;
  void Drop(const kddm::ObjectKey& key) override;
  kddm::Data Find(const kddm::ObjectKey& key) const override;
  void SetReadable(const kddm::ObjectKey& key, bool readable) override;
  size_t Room() const override {
    return std::max(promised_bytes_, used_bytes_ < budget_bytes_ ? budget_bytes_ - used_bytes_ : 0);
  }

  // The object is lent to a program (loan_book.h): from the return on no other finds it, until
  // EndLoan() and the value that is kept next. That value, of up to kLoanBytesMax, has been
  // promised to the program, so it is kept even beyond the budget.
  void Lend(const kddm::ObjectKey& key);
  void EndLoan(const kddm::ObjectKey& key);

  // Makes the set readable for programs, of at most `bytes` in its arena, if it is not yet, and
  // returns the descriptor for them. O(objects of this node) the first time.
  absl::StatusOr<const base::UniqueFd*> Share(kddm::SetId set, const std::string& name,
                                              uint64_t bytes);
  // No program has the set open any more.
  void Unshare(kddm::SetId set);

  SetStats StatsOf(kddm::SetId set) const;
  size_t used_bytes() const { return used_bytes_; }
  size_t budget_bytes() const { return budget_bytes_; }
  size_t shared_bytes() const { return shared_bytes_; }

 private:
  struct Kept {
    kddm::ObjectKey key;
    kddm::Version version = 0;
    kddm::Data data = nullptr;
    bool readable = false;
    bool shared = false;  // stands in the arena
    bool lent = false;    // its value is in a program's region: does not stand in the arena
  };
  struct Set {
    SetStats stats;
    std::unique_ptr<cache::ObjectStore> arena;  // nullptr: no program has it open
  };

  void Publish(Set& set, Kept& kept);
  void Hide(Set& set, Kept& kept);

  cache::Host& host_;
  const size_t budget_bytes_;
  size_t used_bytes_ = 0;
  size_t shared_bytes_ = 0;    // of values in arenas
  size_t promised_bytes_ = 0;  // to the value that is kept next
  kddm::ObjectTable<Kept> kept_;
  std::unordered_map<kddm::SetId, Set> sets_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_SHARED_STORE_H_
