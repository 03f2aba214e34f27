// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/size_class.h"

#include <gtest/gtest.h>

namespace clustix::cache {
namespace {

TEST(SizeClass, Holds_every_size_in_the_smallest_class_that_fits) {
  for (uint32_t bytes = 1; bytes <= kObjectBytesMax; ++bytes) {
    const unsigned size_class = ClassOf(bytes);
    ASSERT_LT(size_class, kClasses) << bytes;
    ASSERT_GE(ClassBytes(size_class), bytes);
    ASSERT_TRUE(size_class == 0 || ClassBytes(size_class - 1) < bytes);
  }
}

TEST(SizeClass, Keeps_blocks_aligned_and_wastes_at_most_a_fifth_of_a_large_one) {
  for (unsigned size_class = 0; size_class < kClasses; ++size_class) {
    const uint32_t bytes = ClassBytes(size_class);
    EXPECT_EQ(bytes % kBlockAlign, 0u);
    EXPECT_TRUE(bytes <= 64 || bytes - ClassBytes(size_class - 1) - 1 <= bytes / 5) << bytes;
  }
}

TEST(SizeClass, Leaves_at_most_an_eighth_of_a_span_over) {
  for (unsigned size_class = 0; size_class < kClasses; ++size_class) {
    const uint64_t span = SpanPages(size_class) * kPageBytes;
    EXPECT_LE(span % ClassBytes(size_class), span / 8);
    EXPECT_LE(span / ClassBytes(size_class), kSpanBlocksMax);
  }
}

}  // namespace
}  // namespace clustix::cache
