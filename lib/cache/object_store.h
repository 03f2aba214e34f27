// SPDX-License-Identifier: Apache-2.0
//
// The cached objects of one set, as the daemon writes them. Each new version goes into a block of
// its own and becomes visible by one change of the index, so that readers, and a daemon killed in
// between, find the old version or the new one and nothing else. The daemon's cache thread.
#ifndef CLUSTIX_LIB_CACHE_OBJECT_STORE_H_
#define CLUSTIX_LIB_CACHE_OBJECT_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/cache/arena.h"
#include "lib/cache/index.h"
#include "lib/cache/reclaimer.h"

namespace clustix::cache {

struct CachedObject {
  uint64_t object_version = 0;
  std::span<const std::byte> data;  // good until the object is put or removed
};

struct ObjectStoreStats {
  ArenaStats arena;
  uint64_t objects = 0;
  uint64_t index_bytes = 0;
};

class ObjectStore {
 public:
  // `reclaimer` must live longer.
  static absl::StatusOr<std::unique_ptr<ObjectStore>> Create(const Arena::Options& options,
                                                             Reclaimer* reclaimer);
  ~ObjectStore();

  // Makes `data`, 1 to kObjectBytesMax bytes, the object's value for all clients.
  // kResourceExhausted: there is no room; then the old version still stands. O(1), now and then a
  // collection.
  absl::Status Put(uint64_t id, uint64_t object_version, std::span<const std::byte> data);
  // The same from bytes that a client may still change, as those it has staged: whatever comes of
  // that is the value. Aligned to 8.
  absl::Status PutShared(uint64_t id, uint64_t object_version, std::span<const std::byte> data);
  // Once this returns, no read that begins later finds the object. False: it was not cached.
  bool Remove(uint64_t id);
  std::optional<CachedObject> Find(uint64_t id) const;
  // visit(id, object_version, bytes), in no order.
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    index_.ForEach([&](const IndexEntry& entry) {
      visit(entry.id, entry.object_version, entry.place.bytes());
    });
  }

  uint32_t arena_id() const { return arena_->id(); }
  const base::UniqueFd& fd_for_clients() const { return arena_->fd_for_clients(); }
  ObjectStoreStats stats() const;

 private:
  ObjectStore(std::unique_ptr<Arena> arena, Index index, Reclaimer* reclaimer)
      : arena_(std::move(arena)), index_(index), reclaimer_(reclaimer) {}
  absl::StatusOr<Place> Allocate(size_t bytes);
  absl::Status Publish(const IndexEntry& entry);
  void Retire(Place place);

  std::unique_ptr<Arena> arena_;
  Index index_;
  Reclaimer* reclaimer_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_OBJECT_STORE_H_
