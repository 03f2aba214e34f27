// SPDX-License-Identifier: Apache-2.0
//
// One program that uses objects: serves the ring of its region (lib/client/set_requests.h), and
// knows what it has open, has under way and holds, so that all of that ends with it.
//
// Nothing that comes from the program is believed: requests are copied before they are looked at,
// and every number in them is looked up among the program's own. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_CLIENT_SESSION_H_
#define CLUSTIX_DAEMON_OBJECTS_CLIENT_SESSION_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/objects/client_watches.h"
#include "daemon/objects/driver.h"
#include "daemon/objects/loan_book.h"
#include "daemon/objects/open_set.h"
#include "daemon/objects/shared_store.h"
#include "lib/cache/host.h"
#include "lib/client/set_requests.h"

namespace clustix::daemon {

class ClientSession final : public ObjectUser {
 public:
  struct Handle {
    OpenSet* set = nullptr;  // nullptr: free
    bool write = false;
  };
  // Sets that one program may have open.
  static constexpr size_t kHandlesMax = 65536;

  // Are called within any call.
  struct Hooks {
    std::function<void()> broken;    // the program has broken its region: end the session, later
    std::function<void()> answered;  // Announce() is due at the end of the loop's turn
  };
  // All must outlive it. `watches_of_user`: see ClientWatches.
  ClientSession(Driver& driver, const SharedStore& store, LoanBook& loans, cache::Host& host,
                cache::HostRegion* region, size_t& watches_of_user, Hooks hooks);
  // Gives up what is under way, and lets go of all that it holds or was lent. Handles must have
  // been closed.
  ~ClientSession() override;

  cache::HostRegion& region() { return *region_; }

  // 0: it has too many. The caller counts the set's clients.
  uint32_t Open(OpenSet* set, bool write);
  // Ends what goes on with the set by this handle. nullptr: there is no such handle.
  OpenSet* Close(uint32_t handle);
  // The set is gone, and nothing will be told of it.
  void OnSetRemoved(const OpenSet& set);
  std::vector<uint32_t> handles() const;

  // The program has rung: serves what it has asked, up to a ring full, and takes back what it was
  // lent if that is wanted. True: there may be more.
  bool Serve();

  // Wakes the program for answers that others were to follow.
  void Announce();

  void OnDone(uint64_t token, const kddm::Completion& completion) override;
  void OnRevoked(kddm::OpId hold) override { holds_.erase(hold); }

 private:
  using Kind = client::SetRequestKind;
  using Status = client::SetReplyStatus;
  struct Pending {
    uint64_t cookie = 0;
    Kind kind = Kind::kGet;
    uint32_t handle = 0;
    uint64_t object = 0;
    kddm::OpId op = 0;  // 0: not begun, or ended
    std::byte* staged = nullptr;
    uint32_t room = 0;
    uint32_t growth = 0;  // of its set's growing_bytes
    bool used = false;
  };

  struct Hold {
    uint32_t handle = 0;
    uint64_t object = 0;
  };

  // Answers at once, or sees to it that OnDone() does.
  void Take(const cache::Request& request);
  // kOk: it is answered, or goes on and will be.
  Status Begin(const cache::Request& request, std::byte* staged);
  // Ends the hold, whatever is returned.
  Status Put(const cache::Request& request, std::byte* staged);
  // kOk: the hold is the driver's, or a loan's.
  Status PutHeld(const Hold& hold, const cache::Request& request, std::byte* staged);
  Status Watch(const cache::Request& request);
  Status Migrate(const cache::Request& request);
  // Done at once.
  Status Release(const cache::Request& request);
  Status Cancel(const cache::Request& request);
  // kOk: the handle may be used so.
  Status CheckHandle(uint32_t number, bool write) const;
  // How much more the set takes on this node with so large a value, as far as is known by now.
  uint32_t GrowthBy(const kddm::ObjectKey& key, uint32_t bytes) const;
  bool HasQuotaFor(const OpenSet& set, uint32_t growth) const;
  void BeginGrowth(Pending& pending, uint32_t growth);
  void EndGrowth(Pending& pending);
  uint32_t TakeSlot(const cache::Request& request, std::byte* staged);
  void Answer(const cache::Reply& reply);

  Driver& driver_;
  const SharedStore& store_;
  cache::Host& host_;
  cache::HostRegion* region_;
  LoanBook& loans_;
  LoanBook::Borrower borrower_;
  const Hooks hooks_;
  bool broken_ = false;
  bool announces_ = false;       // at the end of this turn
  std::vector<Handle> handles_;  // by number - 1
  std::vector<uint32_t> free_handles_;
  std::array<Pending, cache::kRingSlots> pending_;
  std::vector<uint32_t> free_slots_;
  absl::flat_hash_map<kddm::OpId, Hold> holds_;
  ClientWatches watches_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_CLIENT_SESSION_H_
