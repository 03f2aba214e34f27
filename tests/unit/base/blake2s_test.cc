// SPDX-License-Identifier: Apache-2.0
#include "lib/base/blake2s.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/hex.h"

namespace clustix::base {
namespace {

Blake2sKey CountingKey() {
  Blake2sKey key;
  std::iota(key.begin(), key.end(), uint8_t{0});
  return key;
}

std::string MacOfCounting(size_t bytes) {
  std::vector<uint8_t> data(bytes);
  std::iota(data.begin(), data.end(), uint8_t{0});
  const auto mac = Blake2sMac(CountingKey(), data.data(), data.size());
  return mac.ok() ? HexEncode(*mac) : mac.status().ToString();
}

// Known answers that the authors of BLAKE2 publish (blake2s-kat.txt), the keyed half.
TEST(Blake2s, Gives_the_published_answers_for_keyed_input) {
  EXPECT_EQ(MacOfCounting(0), "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49");
  EXPECT_EQ(MacOfCounting(1), "40d15fee7c328830166ac3f918650f807e7e01e177258cdc0a39b11f598066f1");
  EXPECT_EQ(MacOfCounting(64), "8975b0577fd35566d750b362b0897a26c399136df07bababbde6203ff2954ed4");
  EXPECT_EQ(MacOfCounting(255), "3fb735061abc519dfe979e54c1ee5bfad0a9d858b3315bad34bde999efd724dd");
}

TEST(Blake2s, Depends_on_every_byte_of_the_key) {
  const Blake2sKey key = CountingKey();
  const auto expected = Blake2sMac(key, "data", 4);
  ASSERT_TRUE(expected.ok()) << expected.status();
  for (size_t i = 0; i < key.size(); ++i) {
    Blake2sKey other = key;
    other[i] ^= 1;
    const auto mac = Blake2sMac(other, "data", 4);
    ASSERT_TRUE(mac.ok()) << mac.status();
    EXPECT_NE(*mac, *expected) << "byte " << i;
  }
}

}  // namespace
}  // namespace clustix::base
