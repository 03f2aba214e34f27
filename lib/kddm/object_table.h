// SPDX-License-Identifier: Apache-2.0
//
// Records found by ObjectKey: slabs of records and an open-addressed index of 32-bit slots. Beside
// the record an object costs 6 to 11 bytes, records never move, and the order of a walk depends on
// nothing but what was inserted and erased, which simulation needs. One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_OBJECT_TABLE_H_
#define CLUSTIX_LIB_KDDM_OBJECT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/kddm/ids.h"

namespace clustix::kddm {

// Record has a member `key`, is default-constructible and can be assigned.
template <typename Record>
class ObjectTable {
 public:
  using Slot = uint32_t;
  static constexpr Slot kNone = UINT32_MAX;

  size_t size() const { return size_; }
  // Bytes of memory that the table takes, what hangs on the records excluded.
  size_t memory_bytes() const {
    return slabs_.size() * kSlab * sizeof(Record) + index_.capacity() * sizeof(Slot) +
           used_.capacity() / 8;
  }

  Record& at(Slot slot) { return slabs_[slot / kSlab][slot % kSlab]; }
  const Record& at(Slot slot) const { return slabs_[slot / kSlab][slot % kSlab]; }

  Slot FindSlot(const ObjectKey& key) const {
    if (index_.empty()) return kNone;
    for (size_t i = HashKey(key) & mask();; i = (i + 1) & mask()) {
      if (index_[i] == kNone) return kNone;
      if (at(index_[i]).key == key) return index_[i];
    }
  }
  Record* Find(const ObjectKey& key) {
    const Slot slot = FindSlot(key);
    return slot == kNone ? nullptr : &at(slot);
  }
  const Record* Find(const ObjectKey& key) const {
    const Slot slot = FindSlot(key);
    return slot == kNone ? nullptr : &at(slot);
  }

  // The record of `key`, made if there is none. O(1) amortised.
  Slot Insert(const ObjectKey& key) {
    if (const Slot slot = FindSlot(key); slot != kNone) return slot;
    if ((size_ + 1) * 4 > index_.size() * 3) Grow();
    const Slot slot = Take();
    at(slot).key = key;
    Link(slot);
    ++size_;
    return slot;
  }

  void Erase(const ObjectKey& key) {
    if (index_.empty()) return;
    size_t hole = HashKey(key) & mask();
    for (;; hole = (hole + 1) & mask()) {
      if (index_[hole] == kNone) return;
      if (at(index_[hole]).key == key) break;
    }
    const Slot slot = index_[hole];
    // Closes the gap (Knuth, TAOCP 6.4, algorithm R), so that no marks of the dead are needed.
    for (size_t i = (hole + 1) & mask(); index_[i] != kNone; i = (i + 1) & mask()) {
      const size_t wish = HashKey(at(index_[i]).key) & mask();
      if (((i - wish) & mask()) >= ((i - hole) & mask())) {
        index_[hole] = index_[i];
        hole = i;
      }
    }
    index_[hole] = kNone;
    at(slot) = Record();
    used_[slot] = false;
    free_.push_back(slot);
    --size_;
  }

  // For walks that go on where they stopped: slots are below slots(), and some of them in use.
  size_t slots() const { return used_.size(); }
  bool in_use(Slot slot) const { return used_[slot]; }

  // Calls `each(slot)` for every record. It may erase the record that it is called with; records
  // inserted meanwhile may or may not be visited.
  template <typename Each>
  void Walk(Each&& each) {
    for (size_t slot = 0; slot < used_.size(); ++slot) {
      if (used_[slot]) each(static_cast<Slot>(slot));
    }
  }
  template <typename Each>
  void Walk(Each&& each) const {
    for (size_t slot = 0; slot < used_.size(); ++slot) {
      if (used_[slot]) each(static_cast<Slot>(slot));
    }
  }

 private:
  static constexpr size_t kSlab = 64;

  size_t mask() const { return index_.size() - 1; }

  Slot Take() {
    if (!free_.empty()) {
      const Slot slot = free_.back();
      free_.pop_back();
      used_[slot] = true;
      return slot;
    }
    const size_t slot = used_.size();
    if (slot % kSlab == 0) slabs_.push_back(std::make_unique<Record[]>(kSlab));
    used_.push_back(true);
    return static_cast<Slot>(slot);
  }

  void Link(Slot slot) {
    size_t i = HashKey(at(slot).key) & mask();
    while (index_[i] != kNone) i = (i + 1) & mask();
    index_[i] = slot;
  }

  void Grow() {
    std::vector<Slot> old(index_.empty() ? 16 : index_.size() * 2, kNone);
    old.swap(index_);
    for (const Slot slot : old) {
      if (slot != kNone) Link(slot);
    }
  }

  std::vector<std::unique_ptr<Record[]>> slabs_;
  std::vector<Slot> index_;  // a power of two in size, at most three quarters full
  std::vector<bool> used_;
  std::vector<Slot> free_;
  size_t size_ = 0;
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_OBJECT_TABLE_H_
