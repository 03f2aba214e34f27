// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/index.h"

#include <gtest/gtest.h>

#include <unordered_map>
#include <vector>

#include "lib/base/prng.h"
#include "lib/cache/index_view.h"
#include "tests/unit/cache/test_node.h"

namespace clustix::cache {
namespace {

constexpr uint64_t kSeed = 42;

struct IndexTest : testing::Test {
  std::unique_ptr<Arena> arena =
      Must(Arena::Create({.name = "test", .arena = 0, .bytes = 64 << 20, .hash_seed = kSeed}));
  Index index = Must(Index::Create(arena.get()));
  IndexView view{arena->At(0)};

  static IndexEntry EntryOf(uint64_t id, uint64_t object_version = 1) {
    return {.id = id, .place = Place(4096 + id % 1000 * 16, 8), .object_version = object_version};
  }
};

TEST_F(IndexTest, Agrees_with_a_map_after_any_sequence_of_changes) {
  base::Prng prng(5);
  std::unordered_map<uint64_t, uint64_t> model;
  for (uint64_t step = 1; step <= 100'000; ++step) {
    const uint64_t id = prng.Below(20'000);
    if (prng.Chance(2, 3)) {
      const absl::StatusOr<Place> old = index.Set(EntryOf(id, step));
      ASSERT_TRUE(old.ok()) << old.status();
      ASSERT_EQ(old->empty(), !model.contains(id));
      model[id] = step;
    } else {
      ASSERT_EQ(index.Remove(id).empty(), model.erase(id) == 0);
    }
  }
  ASSERT_EQ(index.size(), model.size());
  for (uint64_t id = 0; id < 20'000; ++id) {
    const auto expected = model.find(id);
    Finding finding;
    const bool found = view.Find(id, &finding);
    ASSERT_EQ(found, expected != model.end());
    ASSERT_EQ(index.Find(id).has_value(), found);
    if (!found) continue;
    ASSERT_TRUE(view.StillHolds(finding));
    ASSERT_EQ(finding.object_version, expected->second);
  }
  size_t visited = 0;
  index.ForEach([&](const IndexEntry& entry) {
    ++visited;
    EXPECT_EQ(model.at(entry.id), entry.object_version);
  });
  EXPECT_EQ(visited, model.size());
}

TEST_F(IndexTest, Tells_a_reader_that_what_it_found_has_changed) {
  ASSERT_TRUE(index.Set(EntryOf(1)).ok());
  Finding finding;
  ASSERT_TRUE(view.Find(1, &finding));
  EXPECT_TRUE(view.StillHolds(finding));
  ASSERT_TRUE(index.Set(EntryOf(1, 2)).ok());
  EXPECT_FALSE(view.StillHolds(finding));

  ASSERT_TRUE(view.Find(1, &finding));
  index.Remove(1);
  EXPECT_FALSE(view.StillHolds(finding));
}

// As a daemon leaves it that is killed in the middle.
TEST_F(IndexTest, Serves_nothing_from_a_bucket_that_is_being_changed) {
  ASSERT_TRUE(index.Set(EntryOf(1)).ok());
  Finding finding;
  ASSERT_TRUE(view.Find(1, &finding));
  const_cast<Bucket*>(finding.bucket)->sequence.fetch_add(1);
  ASSERT_TRUE(view.Find(1, &finding));
  EXPECT_FALSE(view.StillHolds(finding));
}

TEST_F(IndexTest, Tells_a_reader_that_the_table_it_looked_into_is_no_more) {
  ASSERT_TRUE(index.Set(EntryOf(1)).ok());
  Finding finding;
  const uint64_t before = index.table_bytes();
  for (uint64_t id = 2; index.table_bytes() == before; ++id) {
    // The last one of these is from a bucket that nothing touches any more but the growth.
    ASSERT_TRUE(view.Find(1, &finding));
    ASSERT_TRUE(view.StillHolds(finding));
    ASSERT_TRUE(index.Set(EntryOf(id)).ok());
  }
  EXPECT_FALSE(view.StillHolds(finding));
  EXPECT_TRUE(view.Find(1, &finding));
}

TEST_F(IndexTest, Is_at_least_three_eighths_full_once_it_has_grown) {
  for (uint64_t id = 0; id < 50'000; ++id) ASSERT_TRUE(index.Set(EntryOf(id)).ok());
  EXPECT_LE(index.table_bytes(), 50'000 * sizeof(Bucket) / kBucketEntries * 8 / 3);
  EXPECT_EQ(arena->stats().page_bytes, index.table_bytes());
}

// Who knows the seed can choose ids that all want the same two buckets.
TEST_F(IndexTest, Refuses_ids_that_were_chosen_to_collide_instead_of_growing_for_ever) {
  constexpr uint64_t kMask = (1 << kTableLog2Min) - 1;
  std::vector<uint64_t> ids;
  for (uint64_t id = 0; ids.size() < 2 * kBucketEntries + 1; ++id) {
    const BucketPair pair = BucketsOf(id, kSeed, kMask);
    if (pair.first == 0 && pair.second == 0) ids.push_back(id);
  }
  int refused = 0;
  for (uint64_t id : ids) {
    const absl::Status status = index.Set(EntryOf(id)).status();
    if (status.ok()) continue;
    ++refused;
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  }
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(index.size(), 2u);
  EXPECT_EQ(arena->stats().page_bytes, index.table_bytes());
}

}  // namespace
}  // namespace clustix::cache
