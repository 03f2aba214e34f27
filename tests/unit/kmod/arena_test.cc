// SPDX-License-Identifier: Apache-2.0
extern "C" {
#include "kmod/arena.h"
}

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

namespace clustix {
namespace {

constexpr u32 kEntries = 16;
constexpr u32 kBytes = 4096;

class Arena : public ::testing::Test {
 protected:
  struct Payload {
    u32 offset, bytes;
  };

  // Whether a payload was put in. It must lie in the arena, and over none that is in use.
  bool Put(u32 bytes) {
    u32 offset = 0;
    if (!kccm_arena_find(&arena_, bytes, &offset)) return false;
    EXPECT_EQ(offset % 8, 0u);
    EXPECT_LE(offset, kBytes);
    EXPECT_LE(bytes, kBytes - offset);
    for (const Payload& other : in_use_) {
      EXPECT_TRUE(offset + bytes <= other.offset || other.offset + other.bytes <= offset)
          << offset << "+" << bytes << " over " << other.offset << "+" << other.bytes;
    }
    kccm_arena_put(&arena_, bytes, offset);
    in_use_.push_back({offset, bytes});
    return true;
  }
  void Consume(u32 messages) {
    ASSERT_TRUE(kccm_arena_consume(&arena_, arena_.consumed + messages));
    in_use_.erase(in_use_.begin(), in_use_.begin() + messages);
  }

  std::vector<u64> ends_ = std::vector<u64>(kEntries);
  kccm_arena arena_ = {kEntries, kBytes, ends_.data(), 0, 0, 0, 0};
  std::deque<Payload> in_use_;
};

TEST_F(Arena, Is_full_when_all_entries_are_in_use) {
  for (u32 i = 0; i < kEntries; ++i) ASSERT_TRUE(Put(0));
  EXPECT_FALSE(Put(0));
  Consume(1);
  EXPECT_TRUE(Put(0));
}

TEST_F(Arena, Keeps_a_payload_in_one_piece) {
  ASSERT_TRUE(Put(3000));
  ASSERT_TRUE(Put(500));
  EXPECT_FALSE(Put(1000)) << "596 bytes are left at the end, and none before";
  Consume(1);
  ASSERT_TRUE(Put(1000));
  EXPECT_EQ(in_use_.back().offset, 0u);
  EXPECT_FALSE(Put(2001)) << "what was too short at the end is not free before its turn";
  EXPECT_TRUE(Put(2000));
}

TEST_F(Arena, Takes_a_payload_of_its_own_size) {
  ASSERT_TRUE(Put(kBytes));
  EXPECT_FALSE(Put(1));
  Consume(1);
  EXPECT_TRUE(Put(kBytes));
}

TEST_F(Arena, Begins_anew_for_a_program_that_keeps_up) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Put(1000));
    EXPECT_EQ(in_use_.back().offset, 0u);
    Consume(1);
  }
}

TEST_F(Arena, Believes_no_count_that_cannot_be_true) {
  arena_.produced = arena_.consumed = ~u32{0} - 2;  // the numbers wrap around
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Put(100));
  Consume(2);
  const kccm_arena before = arena_;
  for (const u32 lie : {before.consumed - 1, before.produced + 1, before.consumed + (1u << 31)}) {
    EXPECT_FALSE(kccm_arena_consume(&arena_, lie));
    EXPECT_EQ(arena_.consumed, before.consumed);
    EXPECT_EQ(arena_.begin, before.begin);
  }
  Consume(0);
  Consume(3);
  EXPECT_EQ(arena_.consumed, arena_.produced);
}

TEST_F(Arena, Never_overlaps_and_always_goes_on_whatever_is_put_and_consumed) {
  std::mt19937 random(1);
  size_t put = 0;
  for (int round = 0; round < 200'000 && !HasFailure(); ++round) {
    const u32 bytes = random() % 10 == 0 ? random() % (kBytes + 1) : random() % 300;
    if (Put(bytes)) {
      ++put;
    } else {
      ASSERT_FALSE(in_use_.empty()) << bytes << " bytes do not fit into an empty arena";
    }
    if (random() % 2 == 0) Consume(random() % (in_use_.size() + 1));
  }
  EXPECT_GT(put, 50'000u);
}

}  // namespace
}  // namespace clustix
