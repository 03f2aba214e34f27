// SPDX-License-Identifier: Apache-2.0
#include "lib/base/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "lib/base/prng.h"

namespace clustix::base {
namespace {

using Function = uint32_t (*)(uint32_t, const void*, size_t);

void ExpectVectorsOfRfc3720(Function crc32c) {
  std::vector<uint8_t> data(32, 0x00);
  EXPECT_EQ(crc32c(0, data.data(), data.size()), 0x8a9136aau);
  data.assign(32, 0xff);
  EXPECT_EQ(crc32c(0, data.data(), data.size()), 0x62a8ab43u);
  std::iota(data.begin(), data.end(), uint8_t{0});
  EXPECT_EQ(crc32c(0, data.data(), data.size()), 0x46dd794eu);
  std::iota(data.rbegin(), data.rend(), uint8_t{0});
  EXPECT_EQ(crc32c(0, data.data(), data.size()), 0x113fdb5cu);
  EXPECT_EQ(crc32c(0, "123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c(0, "", 0), 0u);
}

TEST(Crc32c, Portable_code_gives_the_answers_of_RFC_3720) {
  ExpectVectorsOfRfc3720(Crc32cPortable);
}

TEST(Crc32c, Hardware_gives_the_answers_of_RFC_3720) {
  if (!Crc32cHasHardware()) GTEST_SKIP() << "this processor has no CRC32C instruction";
  ExpectVectorsOfRfc3720(Crc32cHardware);
}

TEST(Crc32c, Chosen_code_gives_the_answers_of_RFC_3720) { ExpectVectorsOfRfc3720(Crc32cExtend); }

TEST(Crc32c, Hardware_and_portable_code_agree_at_every_length_and_alignment) {
  if (!Crc32cHasHardware()) GTEST_SKIP() << "this processor has no CRC32C instruction";
  Prng prng(1);
  std::vector<uint8_t> data(300);
  prng.Fill(data.data(), data.size());
  for (size_t offset = 0; offset < 9; ++offset) {
    for (size_t bytes = 0; bytes + offset <= data.size(); ++bytes) {
      const auto start = static_cast<uint32_t>(prng.Next());
      ASSERT_EQ(Crc32cHardware(start, data.data() + offset, bytes),
                Crc32cPortable(start, data.data() + offset, bytes))
          << offset << " " << bytes;
    }
  }
}

TEST(Crc32c, Extending_equals_one_pass) {
  const std::string text = "the quick brown fox jumps over the lazy dog";
  const uint32_t whole = Crc32c(text.data(), text.size());
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const uint32_t head = Crc32c(text.data(), cut);
    EXPECT_EQ(Crc32cExtend(head, text.data() + cut, text.size() - cut), whole) << cut;
  }
}

TEST(Crc32c, The_best_function_computes_the_same) {
  std::string bytes(70, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 37);
  for (size_t length = 0; length <= bytes.size(); ++length) {
    EXPECT_EQ(BestCrc32c()(bytes.data(), length), Crc32cPortable(0, bytes.data(), length))
        << length;
  }
}

}  // namespace
}  // namespace clustix::base
