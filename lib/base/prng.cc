// SPDX-License-Identifier: Apache-2.0
#include "lib/base/prng.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace clustix::base {

Prng::Prng(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    word = mixed ^ (mixed >> 31);
  }
}

uint64_t Prng::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

// Rejects the draws that would make small numbers likelier.
uint64_t Prng::Below(uint64_t bound) {
  assert(bound != 0);
  const uint64_t rejected_below = -bound % bound;  // 2^64 mod bound
  for (;;) {
    const uint64_t drawn = Next();
    if (drawn >= rejected_below) return drawn % bound;
  }
}

uint64_t Prng::Between(uint64_t low, uint64_t high) {
  assert(low <= high);
  const uint64_t span = high - low;
  return span == UINT64_MAX ? Next() : low + Below(span + 1);
}

void Prng::Fill(void* to, size_t bytes) {
  auto* out = static_cast<uint8_t*>(to);
  while (bytes > 0) {
    uint64_t word = Next();
    const size_t taken = std::min(bytes, sizeof word);
    for (size_t i = 0; i < taken; ++i, word >>= 8) *out++ = static_cast<uint8_t>(word);
    bytes -= taken;
  }
}

}  // namespace clustix::base
