// SPDX-License-Identifier: Apache-2.0
//
// A seeded generator for simulation and jitter: xoshiro256** (Blackman and Vigna 2018), seeded by
// splitmix64. Same seed, same numbers, on every machine. Not for secrets: see system_random.h.
// One thread at a time.
#ifndef CLUSTIX_LIB_BASE_PRNG_H_
#define CLUSTIX_LIB_BASE_PRNG_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace clustix::base {

class Prng {
 public:
  using result_type = uint64_t;  // a UniformRandomBitGenerator; but std's distributions differ
                                 // between libraries, so prefer the functions below

  explicit Prng(uint64_t seed);

  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return UINT64_MAX; }
  uint64_t operator()() { return Next(); }

  uint64_t Next();
  // Uniform in [0, bound); bound is not 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [low, high], both included.
  uint64_t Between(uint64_t low, uint64_t high);
  // True in `numerator` of `denominator` cases.
  bool Chance(uint64_t numerator, uint64_t denominator) { return Below(denominator) < numerator; }
  void Fill(void* to, size_t bytes);
  // A generator of its own, so that what one part draws does not shift what another part draws.
  Prng Fork() { return Prng(Next()); }

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_PRNG_H_
