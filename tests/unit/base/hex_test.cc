// SPDX-License-Identifier: Apache-2.0
#include "lib/base/hex.h"

#include <gtest/gtest.h>

#include <vector>

namespace clustix::base {
namespace {

TEST(Hex, Prints_lower_case_and_reads_it_back) {
  const std::vector<uint8_t> bytes = {0x00, 0x01, 0x9a, 0xff};
  EXPECT_EQ(HexEncode(bytes), "00019aff");
  EXPECT_EQ(HexDecode("00019aff").value(), bytes);
  EXPECT_EQ(HexDecode("00019AfF").value(), bytes);
}

TEST(Hex, Empty_text_is_no_bytes) {
  EXPECT_EQ(HexEncode({}), "");
  EXPECT_TRUE(HexDecode("").value().empty());
}

TEST(Hex, Refuses_odd_lengths_and_other_characters) {
  EXPECT_EQ(HexDecode("abc").status().code(), absl::StatusCode::kInvalidArgument);
  for (const char* text : {"0g", "g0", " 0", "0x", "0\n", "0:", "0/", "0@", "0`"}) {
    EXPECT_EQ(HexDecode(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Hex, Errors_do_not_repeat_the_text_since_it_may_be_a_key) {
  const auto result = HexDecode("c0ffeec0ffeezz");
  EXPECT_EQ(result.status().message().find("c0ffee"), absl::string_view::npos);
}

}  // namespace
}  // namespace clustix::base
