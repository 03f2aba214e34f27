// SPDX-License-Identifier: Apache-2.0
// /dev/kccm: commands that mean nothing, or nearly something.
#include <random>
#include <vector>

#include "tests/vm/device_fixture.h"

namespace clustix::vm {
namespace {

class DeviceRandom : public DeviceTest {};

// Arguments of a command: nothing, or a SEND, and with more words a CALL, that may just be right.
void Scramble(std::mt19937& random, std::vector<uint64_t>& words) {
  for (uint64_t& word : words) {
    word = random() % 3 ? random() % 64 : random() | uint64_t{random()} << 32;
  }
  if (random() % 8 == 0) return;
  const uint64_t node = 1 + random() % 4, lane = random() % 3, flags = random() % 2;
  words[0] = reinterpret_cast<uint64_t>(words.data());
  words[1] = random() % 128;
  words[2] = node | uint64_t{kPort} << 16 | lane << 32 | flags << 40;
  // The test waits for each of them.
  words[3] = 1 + random() % 3;
  words[4] = random() % 4 ? words[0] : 0;
  words[5] = random() % 128;
  words[6] = 0;
}

// Arguments of a SEND_MANY that may just be right, with its messages and their payloads behind.
void ScrambleMany(std::mt19937& random, std::vector<uint64_t>& words) {
  Scramble(random, words);
  const uint64_t from = reinterpret_cast<uint64_t>(words.data());
  words[0] = from + 32;
  words[1] = random() % 8 ? from : words[1];
  words[2] = random() % 192 | (random() % 4) << 32;
  words[3] = random() % 2 * KCCM_URING_ORDERED;
  for (size_t at = 4; at + 3 <= words.size(); at += 3) {
    const uint64_t node = 1 + random() % 3, lane = random() % 2, flags = random() % 2 * 4;
    words[at] = random() % 64 | (random() % 128) << 32;
    words[at + 1] = node << 32 | uint64_t{kPort} << 48;
    words[at + 2] = lane | flags << 8;
  }
}

TEST_F(DeviceRandom, Survives_random_commands) {
  static unsigned seed = 4711;  // others where the tests are repeated
  std::mt19937 random(seed++);
  ASSERT_EQ(two_.Bind(kPort), 0);
  std::vector<uint64_t> words(16);
  for (int round = 0; round < 800; ++round) {
    const unsigned op = random() % 8;
    op == KCCM_URING_SEND_MANY ? ScrambleMany(random, words) : Scramble(random, words);
    if (random() % 4 == 0) two_.SetConsumed(random());
    Device& device = random() % 2 ? one_ : two_;
    // Longer than all that is known, too.
    const size_t bytes = random() % 2 ? op == KCCM_URING_SEND_MANY ? 32 : 56 : random() % 129;
    device.Result(device.Start(op, words.data(), bytes, random() % 4 == 0));
  }
}

}  // namespace
}  // namespace clustix::vm
