// SPDX-License-Identifier: Apache-2.0
//
// A ring of messages between two processes, one of which may be broken or hostile. Each end keeps
// its own index to itself and only publishes it; what it reads of the other's is checked before
// each use, and a message is copied before anybody looks at it. One thread per end.
#ifndef CLUSTIX_LIB_CACHE_RING_H_
#define CLUSTIX_LIB_CACHE_RING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "lib/cache/layout.h"
#include "lib/cache/words.h"

namespace clustix::cache {

enum class RingResult {
  kDone,
  kNotNow,  // full, or empty
  kBroken,  // the other end's index is nonsense
};

template <typename Message>
using RingSlots = std::array<std::array<Word, sizeof(Message) / 8>, kRingSlots>;

template <typename Message>
class RingProducer {
 public:
  static_assert(std::is_trivially_copyable_v<Message> && sizeof(Message) % 8 == 0);
  RingProducer(Word* tail, const Word* head, RingSlots<Message>* slots)
      : tail_(tail), head_(head), slots_(slots) {}

  RingResult Push(const Message& message) {
    if (next_ - seen_head_ >= kRingSlots) {
      const uint64_t head = head_->load(std::memory_order_acquire);
      if (next_ - head > kRingSlots) return RingResult::kBroken;
      seen_head_ = head;
      if (next_ - head == kRingSlots) return RingResult::kNotNow;
    }
    CopyToShared(reinterpret_cast<std::byte*>(&(*slots_)[next_ % kRingSlots]), &message,
                 sizeof message);
    tail_->store(++next_, std::memory_order_release);
    return RingResult::kDone;
  }

 private:
  Word* tail_;
  const Word* head_;
  RingSlots<Message>* slots_;
  uint64_t next_ = 0;
  uint64_t seen_head_ = 0;
};

template <typename Message>
class RingConsumer {
 public:
  RingConsumer(const Word* tail, Word* head, const RingSlots<Message>* slots)
      : tail_(tail), head_(head), slots_(slots) {}

  RingResult Pop(Message* message) {
    if (next_ == seen_tail_) {
      const uint64_t tail = tail_->load(std::memory_order_acquire);
      if (tail - next_ > kRingSlots) return RingResult::kBroken;
      seen_tail_ = tail;
      if (next_ == tail) return RingResult::kNotNow;
    }
    CopyFromShared(message, reinterpret_cast<const std::byte*>(&(*slots_)[next_ % kRingSlots]),
                   sizeof *message);
    head_->store(++next_, std::memory_order_release);
    return RingResult::kDone;
  }
  // Whether Pop() would find something, or something wrong.
  bool HasNews() const {
    return next_ != seen_tail_ || tail_->load(std::memory_order_acquire) != next_;
  }

 private:
  const Word* tail_;
  Word* head_;
  const RingSlots<Message>* slots_;
  uint64_t next_ = 0;
  uint64_t seen_tail_ = 0;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_RING_H_
