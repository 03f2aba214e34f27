// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/case.h"

#include <gtest/gtest.h>

namespace clustix::bench {
namespace {

TEST(Case, Every_mode_is_parsed_from_its_own_name) {
  for (Mode mode : {Mode::kSync, Mode::kAsync, Mode::kOneway}) {
    EXPECT_EQ(ParseMode(ModeName(mode)), mode);
  }
  EXPECT_EQ(ParseMode("Sync"), std::nullopt);
  EXPECT_EQ(ParseMode(""), std::nullopt);
}

TEST(Case, Sizes_are_named_in_the_largest_unit_that_keeps_them_whole) {
  EXPECT_EQ(SizeName(0), "0 B");
  EXPECT_EQ(SizeName(64), "64 B");
  EXPECT_EQ(SizeName(4096), "4 KiB");
  EXPECT_EQ(SizeName(5000), "5000 B");
  EXPECT_EQ(SizeName(1 << 20), "1 MiB");
  EXPECT_EQ(SizeName((1 << 20) + 1024), "1025 KiB");
}

TEST(Case, Only_asynchronous_calls_have_a_window_in_their_title) {
  EXPECT_EQ(CaseTitle({Mode::kSync, 64, 1}), "sync, 64 B");
  EXPECT_EQ(CaseTitle({Mode::kAsync, 64, 1024}), "async, 64 B, 1024 outstanding");
  EXPECT_EQ(CaseTitle({Mode::kOneway, 65536, 64}), "oneway, 64 KiB");
}

}  // namespace
}  // namespace clustix::bench
