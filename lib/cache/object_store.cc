// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/object_store.h"

#include "lib/base/status.h"
#include "lib/cache/words.h"

namespace clustix::cache {

absl::StatusOr<std::unique_ptr<ObjectStore>> ObjectStore::Create(const Arena::Options& options,
                                                                 Reclaimer* reclaimer) {
  ASSIGN_OR_RETURN(std::unique_ptr<Arena> arena, Arena::Create(options));
  ASSIGN_OR_RETURN(Index index, Index::Create(arena.get()));
  return std::unique_ptr<ObjectStore>(new ObjectStore(std::move(arena), index, reclaimer));
}

ObjectStore::~ObjectStore() { reclaimer_->Forget(arena_.get()); }

absl::Status ObjectStore::Put(uint64_t id, uint64_t object_version,
                              std::span<const std::byte> data) {
  ASSIGN_OR_RETURN(const Place place, Allocate(data.size()));
  CopyToShared(arena_->At(place.offset()), data.data(), data.size());
  return Publish({.id = id, .place = place, .object_version = object_version});
}

absl::Status ObjectStore::PutShared(uint64_t id, uint64_t object_version,
                                    std::span<const std::byte> data) {
  ASSIGN_OR_RETURN(const Place place, Allocate(data.size()));
  CopyBetweenShared(arena_->At(place.offset()), data.data(), data.size());
  return Publish({.id = id, .place = place, .object_version = object_version});
}

bool ObjectStore::Remove(uint64_t id) {
  const Place old = index_.Remove(id);
  if (old.empty()) return false;
  // The caller will tell others that nobody here reads the object any more: so that is made true,
  // on every core, before he can.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Retire(old);
  return true;
}

std::optional<CachedObject> ObjectStore::Find(uint64_t id) const {
  const std::optional<IndexEntry> entry = index_.Find(id);
  if (!entry) return std::nullopt;
  return CachedObject{.object_version = entry->object_version,
                      .data = {arena_->At(entry->place.offset()), entry->place.bytes()}};
}

ObjectStoreStats ObjectStore::stats() const {
  return {.arena = arena_->stats(), .objects = index_.size(), .index_bytes = index_.table_bytes()};
}

absl::StatusOr<Place> ObjectStore::Allocate(size_t bytes) {
  if (bytes < 1 || bytes > kObjectBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("an object of ", bytes, " bytes: expected 1 to ", kObjectBytesMax));
  }
  absl::StatusOr<Place> place = arena_->Allocate(static_cast<uint32_t>(bytes));
  if (!place.ok() && reclaimer_->stats().retired_blocks > 0) {
    reclaimer_->Collect();
    place = arena_->Allocate(static_cast<uint32_t>(bytes));
  }
  // Readers of the block's last object, under its sequence lock, must not see our bytes without
  // seeing that the lock has moved on.
  std::atomic_thread_fence(std::memory_order_release);
  return place;
}

absl::Status ObjectStore::Publish(const IndexEntry& entry) {
  absl::StatusOr<Place> old = index_.Set(entry);
  if (!old.ok()) {
    arena_->Free(entry.place);
    return std::move(old).status();
  }
  // As in Remove(): no read that begins after this returns finds the old version.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!old->empty()) Retire(*old);
  return absl::OkStatus();
}

void ObjectStore::Retire(Place place) {
  reclaimer_->Retire(arena_.get(), place);
  if (reclaimer_->Due()) reclaimer_->Collect();
}

}  // namespace clustix::cache
