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
#include "daemon/objects/driver.h"
#include "daemon/objects/set_definition.h"
#include "daemon/objects/shared_store.h"
#include "lib/cache/host.h"
#include "lib/client/set_requests.h"

namespace clustix::daemon {

// A set that programs of this node have open.
struct OpenSet {
  SetDefinition definition;
  uint32_t clients = 0;
  bool removed = false;
  // What programs have asked the daemon for; what they find in the arena, nobody counts.
  uint64_t gets = 0, grabs = 0, writes = 0, removals = 0, failures = 0;
};

class ClientSession final : public ObjectUser {
 public:
  struct Handle {
    OpenSet* set = nullptr;  // nullptr: free
    bool write = false;
  };
  // Sets that one program may have open.
  static constexpr size_t kHandlesMax = 65536;

  // All must outlive it. `on_broken` is called, within any call, when the program has broken its
  // region: then the session is to be ended, later.
  ClientSession(Driver& driver, const SharedStore& store, cache::Host& host,
                cache::HostRegion* region, std::function<void()> on_broken);
  // Gives up what is under way, and lets go of all that it holds. Handles must have been closed.
  ~ClientSession() override;

  cache::HostRegion& region() { return *region_; }

  // 0: it has too many. The caller counts the set's clients.
  uint32_t Open(OpenSet* set, bool write);
  // Ends what goes on with the set by this handle. nullptr: there is no such handle.
  OpenSet* Close(uint32_t handle);
  std::vector<uint32_t> handles() const;

  // Serves what the program has asked, up to a ring full. True: there may be more.
  bool Serve();

  void OnDone(uint64_t token, const kddm::Completion& completion) override;
  void OnRevoked(kddm::OpId hold) override { holds_.erase(hold); }

 private:
  using Kind = client::SetRequestKind;
  using Status = client::SetReplyStatus;
  struct Pending {
    uint64_t cookie = 0;
    Kind kind = Kind::kGet;
    uint32_t handle = 0;
    kddm::OpId op = 0;  // 0: not begun, or ended
    std::byte* staged = nullptr;
    uint32_t room = 0;
    bool used = false;
  };

  // Answers at once, or sees to it that OnDone() does.
  void Take(const cache::Request& request);
  // kOk: it goes on, and will be answered.
  Status Begin(const cache::Request& request, std::byte* staged);
  Status Put(const cache::Request& request, std::byte* staged);
  // Done at once.
  Status Release(const cache::Request& request);
  Status Sync(const cache::Request& request);
  Status Cancel(const cache::Request& request);
  // kOk: the handle may be used so.
  Status CheckHandle(uint32_t number, bool write) const;
  bool HasQuotaFor(const OpenSet& set, uint32_t bytes) const;
  uint32_t TakeSlot(const cache::Request& request, std::byte* staged);
  void Answer(const cache::Reply& reply);

  Driver& driver_;
  const SharedStore& store_;
  cache::Host& host_;
  cache::HostRegion* region_;
  const std::function<void()> on_broken_;
  bool broken_ = false;
  std::vector<Handle> handles_;  // by number - 1
  std::vector<uint32_t> free_handles_;
  std::array<Pending, cache::kRingSlots> pending_;
  std::vector<uint32_t> free_slots_;
  absl::flat_hash_map<kddm::OpId, uint32_t> holds_;  // to the handle
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_CLIENT_SESSION_H_
