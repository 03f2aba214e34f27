// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "lib/base/prng.h"
#include "tests/unit/cache/test_node.h"

namespace clustix::cache {
namespace {

std::unique_ptr<Arena> MakeArena(uint64_t bytes) {
  return Must(Arena::Create({.name = "test", .arena = 3, .bytes = bytes, .hash_seed = 1}));
}

TEST(Arena, Gives_blocks_that_do_not_overlap_and_gets_all_of_them_back) {
  const auto arena = MakeArena(32 << 20);
  base::Prng prng(11);
  struct Held {
    Place place;
    uint8_t mark;
  };
  std::vector<Held> held;
  const auto check = [&](const Held& block) {
    const std::byte* data = arena->At(block.place.offset());
    for (uint32_t i = 0; i < block.place.bytes(); ++i) {
      ASSERT_EQ(data[i], std::byte{block.mark});
    }
  };
  for (int step = 0; step < 5'000; ++step) {
    if (held.size() < 100 || prng.Chance(1, 2)) {
      const auto bytes =
          static_cast<uint32_t>(prng.Between(1, prng.Chance(1, 50) ? kObjectBytesMax : 5'000));
      const absl::StatusOr<Place> place = arena->Allocate(bytes);
      if (!place.ok()) continue;
      ASSERT_EQ(place->bytes(), bytes);
      ASSERT_EQ(place->offset() % kBlockAlign, 0u);
      ASSERT_LE(place->offset() + bytes, uint64_t{32} << 20);
      held.push_back({*place, static_cast<uint8_t>(step)});
      std::memset(arena->At(place->offset()), held.back().mark, bytes);
    } else {
      std::swap(held[prng.Below(held.size())], held.back());
      check(held.back());
      arena->Free(held.back().place);
      held.pop_back();
    }
  }
  EXPECT_EQ(arena->stats().blocks, held.size());
  for (const Held& block : held) {
    check(block);
    arena->Free(block.place);
  }
  EXPECT_EQ(arena->stats().blocks, 0u);
  EXPECT_EQ(arena->stats().block_bytes, 0u);
}

TEST(Arena, Says_that_its_budget_is_used_up_and_goes_on_when_something_is_freed) {
  const auto arena = MakeArena(4 << 20);
  std::vector<Place> places;
  for (;;) {
    const absl::StatusOr<Place> place = arena->Allocate(kObjectBytesMax);
    if (!place.ok()) {
      EXPECT_TRUE(absl::IsResourceExhausted(place.status())) << place.status();
      break;
    }
    places.push_back(*place);
  }
  EXPECT_EQ(places.size(), 3u);  // the header's page costs the fourth
  arena->Free(places.back());
  EXPECT_TRUE(arena->Allocate(kObjectBytesMax).ok());
}

TEST(Arena, Lets_pages_of_one_size_serve_another_once_they_are_free) {
  const auto arena = MakeArena(4 << 20);
  std::vector<Place> small;
  for (absl::StatusOr<Place> place; (place = arena->Allocate(100)).ok();) small.push_back(*place);
  EXPECT_FALSE(arena->Allocate(kObjectBytesMax).ok());
  for (Place place : small) arena->Free(place);
  EXPECT_TRUE(arena->Allocate(kObjectBytesMax).ok());
}

TEST(Arena, Takes_memory_as_it_is_used) {
  const auto arena = MakeArena(uint64_t{64} << 30);
  EXPECT_EQ(arena->stats().taken_bytes, kPageBytes);
  ASSERT_TRUE(arena->Allocate(1).ok());
  EXPECT_LE(arena->stats().taken_bytes, 8 * kPageBytes);
}

TEST(Arena, Refuses_budgets_that_it_cannot_keep) {
  for (uint64_t bytes : {uint64_t{0}, kArenaBytesMin - 1, kArenaBytesMax + 1}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Arena::Create({.name = "test", .bytes = bytes}).status()));
  }
}

}  // namespace
}  // namespace clustix::cache
