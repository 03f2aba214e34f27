// SPDX-License-Identifier: Apache-2.0
//
// Look-ups of objects that are timed one by one, as a program would make them. One thread.
#ifndef CLUSTIX_TESTS_BENCH_CACHE_LOOK_UPS_H_
#define CLUSTIX_TESTS_BENCH_CACHE_LOOK_UPS_H_

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "lib/base/prng.h"

namespace clustix::bench {

constexpr uint64_t kObjects = 64 * 1024;

// Ids drawn beforehand; what is measured is the look-up.
inline const std::vector<uint64_t>& Ids(bool uniform) {
  static const auto draw = [](uint64_t below) {
    base::Prng prng(1);
    std::vector<uint64_t> ids(1 << 16);
    for (uint64_t& id : ids) id = prng.Below(below);
    return ids;
  };
  static const std::vector<uint64_t> hot = draw(1), all = draw(kObjects);
  return uniform ? all : hot;
}

// `look_up` returns the id that it finds in the object. Each id depends on what was read before, as
// 0 is added to it that only the object knows: without that, the processor would overlap look-ups
// that a program cannot.
template <typename LookUp>
void Measure(benchmark::State& state, LookUp look_up) {
  const std::vector<uint64_t>& ids = Ids(state.range(0) != 0);
  size_t next = 0;
  uint64_t nothing = 0;
  for (auto _ : state) {
    const uint64_t id = ids[next++ & (ids.size() - 1)] + nothing;
    uint64_t found = look_up(id);
    benchmark::DoNotOptimize(found);  // or the compiler would put `id` for it below
    if (found != id) [[unlikely]] {
      state.SkipWithError("not the object that was asked for");
      break;
    }
    nothing = found & (uint64_t{1} << 63);
  }
  state.SetItemsProcessed(state.iterations());
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_CACHE_LOOK_UPS_H_
