// SPDX-License-Identifier: Apache-2.0
#include "lib/base/uuid.h"

#include <gtest/gtest.h>

#include <string>

namespace clustix::base {
namespace {

TEST(Uuid, Reads_what_it_prints) {
  const std::string text = "0f8fad5b-d9cb-469f-a165-70867728950e";
  const auto uuid = ParseUuid(text);
  ASSERT_TRUE(uuid.ok()) << uuid.status();
  EXPECT_EQ((*uuid)[0], 0x0f);
  EXPECT_EQ((*uuid)[15], 0x0e);
  EXPECT_EQ(FormatUuid(*uuid), text);
  EXPECT_EQ(ParseUuid("0F8FAD5B-D9CB-469F-A165-70867728950E").value(), *uuid);
}

TEST(Uuid, Refuses_other_shapes) {
  for (const char* text :
       {"", "0f8fad5b", "0f8fad5b-d9cb-469f-a165-70867728950",
        "0f8fad5b-d9cb-469f-a165-70867728950eb", "0f8fad5bd-9cb-469f-a165-70867728950e",
        "0f8fad5b-d9cb-469f-a165-70867728950g", "0f8fad5b0d9cb0469f0a165070867728950e",
        "------------------------------------"}) {
    EXPECT_EQ(ParseUuid(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Uuid, Random_ones_differ_and_say_version_4) {
  const Uuid uuid = RandomUuid();
  EXPECT_NE(uuid, RandomUuid());
  const std::string text = FormatUuid(uuid);
  EXPECT_EQ(text[14], '4');
  EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos) << text;
}

}  // namespace
}  // namespace clustix::base
