// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/shared_store.h"

#include <algorithm>
#include <utility>

#include "lib/base/status.h"

namespace clustix::daemon {

void SharedStore::Keep(const kddm::ObjectKey& key, kddm::Version version, const kddm::Data& data) {
  promised_bytes_ = 0;
  Kept& kept = kept_.at(kept_.Insert(key));
  Set& set = sets_[key.set];
  if (kept.data == nullptr) {
    ++set.stats.objects;
    used_bytes_ += kObjectOverheadBytes;
  } else {
    used_bytes_ -= kept.data->size();
    set.stats.bytes -= kept.data->size();
    // What is in the arena is replaced below, in one step for its readers.
    if (kept.shared) shared_bytes_ -= kept.data->size();
  }
  const bool was_shared = std::exchange(kept.shared, false);
  used_bytes_ += data->size();
  set.stats.bytes += data->size();
  kept.version = version;
  kept.data = data;
  if (kept.readable) Publish(set, kept);
  // The old value must not stay where the new one did not fit.
  if (was_shared && !kept.shared) set.arena->Remove(key.object);
}

void SharedStore::Drop(const kddm::ObjectKey& key) {
  Kept* kept = kept_.Find(key);
  if (kept == nullptr) return;
  const auto found = sets_.find(key.set);
  Set& set = found->second;
  Hide(set, *kept);
  if (kept->readable) --set.stats.readable;
  --set.stats.objects;
  set.stats.bytes -= kept->data->size();
  used_bytes_ -= kept->data->size() + kObjectOverheadBytes;
  kept_.Erase(key);
  if (set.stats.objects == 0 && set.arena == nullptr) sets_.erase(found);
}

kddm::Data SharedStore::Find(const kddm::ObjectKey& key) const {
  const Kept* kept = kept_.Find(key);
  return kept == nullptr ? nullptr : kept->data;
}

void SharedStore::SetReadable(const kddm::ObjectKey& key, bool readable) {
  Kept* kept = kept_.Find(key);
  if (kept == nullptr || kept->readable == readable) return;
  Set& set = sets_.at(key.set);
  kept->readable = readable;
  set.stats.readable += readable ? 1 : -1;
  readable ? Publish(set, *kept) : Hide(set, *kept);
}

void SharedStore::Publish(Set& set, Kept& kept) {
  if (set.arena == nullptr || kept.lent || shared_bytes_ + kept.data->size() > budget_bytes_)
    return;
  if (!set.arena->Put(kept.key.object, kept.version, *kept.data).ok()) return;
  kept.shared = true;
  shared_bytes_ += kept.data->size();
}

void SharedStore::Hide(Set& set, Kept& kept) {
  if (!std::exchange(kept.shared, false)) return;
  set.arena->Remove(kept.key.object);
  shared_bytes_ -= kept.data->size();
}

// An object that the program has made, and has been lent at once, is not here yet.
void SharedStore::Lend(const kddm::ObjectKey& key) {
  Kept* kept = kept_.Find(key);
  if (kept == nullptr) return;
  kept->lent = true;
  Hide(sets_.at(key.set), *kept);
}

void SharedStore::EndLoan(const kddm::ObjectKey& key) {
  promised_bytes_ = cache::kLoanBytesMax;
  if (Kept* kept = kept_.Find(key); kept != nullptr) kept->lent = false;
}

absl::StatusOr<const base::UniqueFd*> SharedStore::Share(kddm::SetId id, const std::string& name,
                                                         uint64_t bytes) {
  Set& set = sets_[id];
  if (set.arena == nullptr) {
    bytes = std::clamp<uint64_t>(bytes, cache::kArenaBytesMin, cache::kArenaBytesMax);
    absl::StatusOr<std::unique_ptr<cache::ObjectStore>> arena = host_.CreateSet(name, bytes);
    if (!arena.ok()) {
      if (set.stats.objects == 0) sets_.erase(id);
      return std::move(arena).status();
    }
    set.arena = *std::move(arena);
    if (set.stats.readable == 0) return &set.arena->fd_for_clients();
    kept_.Walk([&](uint32_t slot) {
      Kept& kept = kept_.at(slot);
      if (kept.key.set == id && kept.readable) Publish(set, kept);
    });
  }
  return &set.arena->fd_for_clients();
}

void SharedStore::Unshare(kddm::SetId id) {
  const auto found = sets_.find(id);
  if (found == sets_.end() || found->second.arena == nullptr) return;
  Set& set = found->second;
  // A program that goes on reading what it has closed is to find nothing there.
  if (set.stats.readable > 0) {
    kept_.Walk([&](uint32_t slot) {
      Kept& kept = kept_.at(slot);
      if (kept.key.set == id) Hide(set, kept);
    });
  }
  set.arena.reset();
  if (set.stats.objects == 0) sets_.erase(found);
}

SharedStore::SetStats SharedStore::StatsOf(kddm::SetId set) const {
  const auto found = sets_.find(set);
  if (found == sets_.end()) return {};
  SetStats stats = found->second.stats;
  if (found->second.arena != nullptr) {
    stats.arena_bytes = found->second.arena->stats().arena.taken_bytes;
  }
  return stats;
}

}  // namespace clustix::daemon
