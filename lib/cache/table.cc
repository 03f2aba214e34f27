// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/table.h"

#include <array>

namespace clustix::cache {
namespace {

// How many buckets are looked at for a free entry before the table counts as full. At three
// quarters full, a dozen suffices nearly always.
constexpr unsigned kSearchMax = 128;

}  // namespace

void Table::Clear() {
  for (uint64_t bucket = 0; bucket <= mask_; ++bucket) {
    buckets_[bucket].sequence.store(0, std::memory_order_relaxed);
    for (Entry& entry : buckets_[bucket].entries) {
      entry.id.store(0, std::memory_order_relaxed);
      entry.place.store(0, std::memory_order_relaxed);
      entry.object_version.store(0, std::memory_order_relaxed);
    }
  }
}

std::optional<IndexEntry> Table::Find(uint64_t id) const {
  const std::optional<Position> at = PositionOf(id);
  if (!at) return std::nullopt;
  return Load(*at);
}

bool Table::Replace(const IndexEntry& entry) {
  const std::optional<Position> at = PositionOf(entry.id);
  if (at) Store(*at, entry);
  return at.has_value();
}

bool Table::Insert(const IndexEntry& entry) {
  const BucketPair home = BucketsOf(entry.id, seed_, mask_);
  std::optional<Position> at = FreeIn(home.first);
  if (!at) at = FreeIn(home.second);
  if (!at) at = MakeRoom(home);
  if (at) Store(*at, entry);
  return at.has_value();
}

bool Table::Remove(uint64_t id) {
  const std::optional<Position> at = PositionOf(id);
  if (at) Store(*at, {});
  return at.has_value();
}

// Relaxed, as this thread alone writes.
IndexEntry Table::Load(Position at) const {
  const Entry& entry = buckets_[at.bucket].entries[at.entry];
  return {.id = entry.id.load(std::memory_order_relaxed),
          .place = Place::FromWord(entry.place.load(std::memory_order_relaxed)),
          .object_version = entry.object_version.load(std::memory_order_relaxed)};
}

// The write half of the sequence lock (IndexView is the other; Boehm, "Can seqlocks get along with
// programming language memory models?", 2012): who sees one of the words sees the odd sequence
// before it, and who sees the even sequence sees all of the words.
void Table::Store(Position at, const IndexEntry& entry) {
  Bucket& bucket = buckets_[at.bucket];
  Entry& to = bucket.entries[at.entry];
  const uint64_t sequence = bucket.sequence.load(std::memory_order_relaxed);
  bucket.sequence.store(sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  to.id.store(entry.id, std::memory_order_relaxed);
  to.place.store(entry.place.word(), std::memory_order_relaxed);
  to.object_version.store(entry.object_version, std::memory_order_relaxed);
  bucket.sequence.store(sequence + 2, std::memory_order_release);
}

std::optional<Table::Position> Table::PositionOf(uint64_t id) const {
  const BucketPair home = BucketsOf(id, seed_, mask_);
  for (uint64_t bucket : {home.first, home.second}) {
    for (unsigned i = 0; i < kBucketEntries; ++i) {
      const IndexEntry entry = Load({bucket, i});
      if (entry.id == id && !entry.place.empty()) return Position{bucket, i};
    }
  }
  return std::nullopt;
}

std::optional<Table::Position> Table::FreeIn(uint64_t bucket) const {
  for (unsigned i = 0; i < kBucketEntries; ++i) {
    if (Load({bucket, i}).place.empty()) return Position{bucket, i};
  }
  return std::nullopt;
}

// Breadth-first search for the shortest chain of moves that ends in a free entry; then the moves,
// from the far end on.
std::optional<Table::Position> Table::MakeRoom(BucketPair home) {
  struct Step {
    uint64_t bucket;
    unsigned from;   // the step whose entry would move here; kSearchMax: none
    unsigned entry;  // which of its entries
  };
  std::array<Step, kSearchMax> steps;
  unsigned count = 0;
  steps[count++] = {home.first, kSearchMax, 0};
  steps[count++] = {home.second, kSearchMax, 0};
  for (unsigned next = 0; next < count; ++next) {
    for (unsigned i = 0; i < kBucketEntries && count < kSearchMax; ++i) {
      const uint64_t bucket = steps[next].bucket;
      const BucketPair pair = BucketsOf(Load({bucket, i}).id, seed_, mask_);
      const uint64_t other = pair.first == bucket ? pair.second : pair.first;
      if (other == bucket) continue;
      steps[count++] = {other, next, i};
      std::optional<Position> free = FreeIn(other);
      if (!free) continue;
      for (unsigned step = count - 1; steps[step].from != kSearchMax; step = steps[step].from) {
        const Position from = {steps[steps[step].from].bucket, steps[step].entry};
        Store(*free, Load(from));
        Store(from, {});
        free = from;
      }
      return free;
    }
  }
  return std::nullopt;
}

}  // namespace clustix::cache
