// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/table.h"

#include <gtest/gtest.h>

namespace clustix::command {
namespace {

TEST(Table, Aligns_columns_and_leaves_no_blanks_at_the_end) {
  Table table({{"N", Table::Align::kRight}, {"NAME"}, {""}});
  table.Add({"10", "ä", ""});
  table.Add({"2", "longer", "note"});
  EXPECT_EQ(table.Render(),
            " N  NAME\n"
            "10  ä\n"
            " 2  longer  note\n");
}

TEST(Format, Writes_durations_and_sizes_for_people) {
  EXPECT_EQ(FormatDuration(999), "0 s");
  EXPECT_EQ(FormatDuration(185'000), "3 min 5 s");
  EXPECT_EQ(FormatDuration(7'800'000), "2 h 10 min");
  EXPECT_EQ(FormatDuration(442'800'000), "5 d 3 h");
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(UINT64_MAX), "16384.0 PiB");
}

}  // namespace
}  // namespace clustix::command
