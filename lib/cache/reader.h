// SPDX-License-Identifier: Apache-2.0
//
// Reading what the cache holds: no lock, no system call, nothing that another process waits for.
// One Reader per thread; what it hands out is for the same thread.
//
// A hit is current: some moment between call and return, the object had this value in the whole
// cluster. A pinned object stays as it was at that moment, whatever others write; pins hold back
// memory, never writers.
#ifndef CLUSTIX_LIB_CACHE_READER_H_
#define CLUSTIX_LIB_CACHE_READER_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "lib/base/pause.h"
#include "lib/cache/client_region.h"
#include "lib/cache/layout.h"
#include "lib/cache/node_view.h"
#include "lib/cache/set_view.h"
#include "lib/cache/words.h"

namespace clustix::cache {

enum class Lookup {
  kHit,
  kMiss,     // not cached, or being written too often to be caught: ask the daemon
  kNoLease,  // the daemon is stopped or cut off: it may be cached, but not served
  kTooLong,  // Read(): the buffer has no room for it
  kNoPin,    // Get(): this thread holds kPinsPerStripe pins
};

struct ObjectInfo {
  uint64_t object_version = 0;
  uint32_t bytes = 0;
};

// Objects up to this size are copied under the sequence lock; larger ones are pinned meanwhile, as
// they would rarely be still for as long as the copy takes.
inline constexpr uint32_t kCopyBytesMax = 1024;

class Reader;

// A pin: as long as it lives, data() stays. Freed by its destructor, on the thread of its Reader.
class Pinned {
 public:
  Pinned() = default;
  Pinned(Pinned&& other) noexcept
      : reader_(std::exchange(other.reader_, nullptr)),
        slot_(other.slot_),
        data_(other.data_),
        info_(other.info_) {}
  Pinned& operator=(Pinned&& other) noexcept {
    std::swap(reader_, other.reader_);
    std::swap(slot_, other.slot_);
    std::swap(data_, other.data_);
    std::swap(info_, other.info_);
    return *this;
  }
  inline ~Pinned();

  // Aligned to kBlockAlign. Writing there ends this process by SIGSEGV.
  std::span<const std::byte> data() const { return {data_, info_.bytes}; }
  uint64_t object_version() const { return info_.object_version; }
  explicit operator bool() const { return reader_ != nullptr; }
  // Gives the pin away: Reader::Unpin() of what is returned is left to the caller.
  unsigned Release() {
    reader_ = nullptr;
    return slot_;
  }

 private:
  friend class Reader;
  Reader* reader_ = nullptr;
  unsigned slot_ = 0;
  const std::byte* data_ = nullptr;
  ObjectInfo info_;
};

class Reader {
 public:
  // Both must live as long. nullptr: kStripes threads read already.
  static std::unique_ptr<Reader> Create(const NodeView* node, ClientRegion* region);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Copies the object into `to`. With kHit and kTooLong, `info` says how long it is.
  inline Lookup Read(const SetView& set, uint64_t id, std::span<std::byte> to, ObjectInfo* info);
  // Pins the object into `pinned`, which is empty.
  inline Lookup Get(const SetView& set, uint64_t id, Pinned* pinned);
  // For pins that were released from their Pinned.
  void Unpin(unsigned slot) {
    // Release: our loads from the block come before whatever the daemon writes into it next.
    stripe_->slots[slot].store(0, std::memory_order_release);
    pins_taken_ &= ~(1u << slot);
  }

 private:
  friend class Pinned;
  Reader(const NodeView* node, ClientRegion* region, PinStripe* stripe)
      : node_(node), region_(region), stripe_(stripe), fence_(node->fence()) {}
  Lookup ReadPinned(const SetView& set, uint64_t id, std::span<std::byte> to, ObjectInfo* info);
  bool HasPin() const {
    return static_cast<unsigned>(std::countr_one(pins_taken_)) < kPinsPerStripe;
  }

  // Writers that come between a look and its validation, before a reader gives up.
  static constexpr int kTriesMax = 64;

  const NodeView* node_;
  ClientRegion* region_;
  PinStripe* stripe_;
  LightFence fence_;
  unsigned pins_taken_ = 0;  // a bit each
};

inline Pinned::~Pinned() {
  if (reader_ != nullptr) reader_->Unpin(slot_);
}

inline Lookup Reader::Read(const SetView& set, uint64_t id, std::span<std::byte> to,
                           ObjectInfo* info) {
  const IndexView& index = set.index();
  for (int tries = 0; tries < kTriesMax; ++tries) {
    Finding finding;
    if (!index.Find(id, &finding)) return Lookup::kMiss;
    const uint32_t bytes = finding.place.bytes();
    if (bytes > kCopyBytesMax && bytes <= to.size() && HasPin()) {
      return ReadPinned(set, id, to, info);
    }
    // What does not hold may be anywhere, so it is not even looked at.
    if (bytes <= to.size() && index.Within(finding.place)) [[likely]] {
      CopyFromShared(to.data(), index.At(finding.place), bytes);
    }
    if (!index.StillHolds(finding)) [[unlikely]] {
      base::PauseCpu();
      continue;
    }
    if (!node_->LeaseHolds()) return Lookup::kNoLease;
    *info = {.object_version = finding.object_version, .bytes = bytes};
    return bytes <= to.size() ? Lookup::kHit : Lookup::kTooLong;
  }
  return Lookup::kMiss;
}

// Hazard pointers (Michael 2004) with the fence on the other side: 1. find the block; 2. name it in
// a slot; 3. see that it still is the object's. The daemon 1. takes the block out of the index; 2.
// passes its fence; 3. looks at all slots; 4. reuses the block if none names it. If our third step
// saw the index as it was, our second came before the daemon's fence, and its third sees the slot.
inline Lookup Reader::Get(const SetView& set, uint64_t id, Pinned* pinned) {
  const auto slot = static_cast<unsigned>(std::countr_one(pins_taken_));
  if (slot == kPinsPerStripe) return Lookup::kNoPin;
  const IndexView& index = set.index();
  Word& pin = stripe_->slots[slot];
  Lookup result = Lookup::kMiss;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    Finding finding;
    if (!index.Find(id, &finding)) break;
    pin.store(PinName(index.arena(), finding.place), std::memory_order_relaxed);
    fence_.Pass();
    if (!index.StillHolds(finding)) [[unlikely]] {
      base::PauseCpu();
      continue;
    }
    if (!node_->LeaseHolds()) {
      result = Lookup::kNoLease;
      break;
    }
    pins_taken_ |= 1u << slot;
    pinned->reader_ = this;
    pinned->slot_ = slot;
    pinned->data_ = index.At(finding.place);
    pinned->info_ = {.object_version = finding.object_version, .bytes = finding.place.bytes()};
    return Lookup::kHit;
  }
  pin.store(0, std::memory_order_release);
  return result;
}

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_READER_H_
