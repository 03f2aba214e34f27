// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/staging.h"

#include <gtest/gtest.h>

#include <vector>

namespace clustix::cache {
namespace {

TEST(Staging, Gives_parts_that_do_not_overlap_until_all_is_taken) {
  Staging staging;
  std::vector<uint32_t> offsets;
  for (std::optional<uint32_t> offset; (offset = staging.Take(kObjectBytesMax));) {
    offsets.push_back(*offset);
  }
  ASSERT_EQ(offsets.size(), kStagingBytes / kObjectBytesMax);
  for (size_t i = 0; i < offsets.size(); ++i) EXPECT_EQ(offsets[i], i * kObjectBytesMax);
  EXPECT_FALSE(staging.Take(1));
  staging.Give(offsets[1], kObjectBytesMax);
  EXPECT_EQ(staging.Take(1), offsets[1]);
  EXPECT_EQ(staging.Take(1), offsets[1] + kStagingUnitBytes);
  EXPECT_FALSE(staging.Take(kObjectBytesMax));
}

TEST(Staging, Takes_small_objects_by_the_unit) {
  Staging staging;
  for (size_t i = 0; i < 64; ++i) EXPECT_TRUE(staging.Take(1)) << i;
  EXPECT_FALSE(staging.Take(1));
}

TEST(Staging, Leaves_what_comes_after_an_end_to_others) {
  Staging staging;
  constexpr uint32_t kEnd = kStagingBytes - kObjectBytesMax;
  for (uint32_t offset = 0; offset < kEnd; offset += kObjectBytesMax) {
    EXPECT_EQ(staging.Take(kObjectBytesMax, kEnd), offset);
  }
  EXPECT_FALSE(staging.Take(1, kEnd));
  EXPECT_EQ(staging.Take(kObjectBytesMax), kEnd);
}

}  // namespace
}  // namespace clustix::cache
