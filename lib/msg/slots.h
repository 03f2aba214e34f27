// SPDX-License-Identifier: Apache-2.0
//
// A table of values under ids that are never reused: what waits for the session to report on a
// cookie, and calls that wait for their answer. No allocation but when the table grows. An id is
// never 0.
#ifndef CLUSTIX_LIB_MSG_SLOTS_H_
#define CLUSTIX_LIB_MSG_SLOTS_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace clustix::msg {

template <typename Value, unsigned kIndexBits = 24>
class Slots {
 public:
  uint64_t Put(Value value) {
    if (free_ == kNone) {
      assert(slots_.size() < kIndexMask);
      slots_.push_back({.next_free = kNone, .id = slots_.size(), .taken = false, .value = {}});
      free_ = static_cast<uint32_t>(slots_.size() - 1);
    }
    Slot& slot = slots_[free_];
    free_ = slot.next_free;
    slot.id += kIndexMask + 1;
    if (slot.id <= kIndexMask) slot.id += kIndexMask + 1;  // all counts were used: 0 stays nobody's
    slot.taken = true;
    slot.value = std::move(value);
    return slot.id;
  }

  // nullptr: the id has been taken, or never was. Good until the next Put().
  Value* Find(uint64_t id) {
    const uint64_t index = id & kIndexMask;
    if (index >= slots_.size() || !slots_[index].taken || slots_[index].id != id) return nullptr;
    return &slots_[index].value;
  }

  // The id must be there.
  Value Take(uint64_t id) {
    assert(Find(id) != nullptr);
    const auto index = static_cast<uint32_t>(id & kIndexMask);
    Slot& slot = slots_[index];
    slot.taken = false;
    slot.next_free = free_;
    free_ = index;
    return std::exchange(slot.value, Value{});
  }

  void Clear() {
    for (const Slot& slot : slots_) {
      if (slot.taken) Take(slot.id);
    }
  }

 private:
  // The low bits of an id are the slot's index, the high bits count its uses.
  static constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Slot {
    uint32_t next_free;
    uint64_t id;  // of the value in it, or of the last one
    bool taken;
    Value value;
  };
  std::vector<Slot> slots_;
  uint32_t free_ = kNone;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_SLOTS_H_
