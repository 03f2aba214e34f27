// SPDX-License-Identifier: Apache-2.0
//
// What object sets cost a program through the public API (clustix/sets.h), next to the same in a
// map of this process behind a std::shared_mutex. The daemon is one of the tests, on a thread of
// this process: what asks it measures the way to a daemon and back, and nothing of a cluster.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "tests/bench/cache/look_ups.h"
#include "tests/unit/client/fake_daemon.h"

namespace clustix::client {
namespace {

using bench::kObjects;
using bench::Measure;
using Object = std::array<uint64_t, 8>;

struct World {
  World() {
    const TypedSet<Object> objects(set);
    for (uint64_t id = 0; id < kObjects; ++id) objects.Set(id, {id});
  }
  FakeDaemon daemon;
  Client client = daemon.Connect();
  ObjectSet set = Must(client.OpenSet("bench/set", {.create = true}));
};
World& TheWorld() {
  static World world;
  return world;
}

void Get(benchmark::State& state) {
  const ObjectSet& set = TheWorld().set;
  Measure(state, [&](uint64_t id) {
    const ReadGuard guard = set.Get(id);
    if (!guard) return ~id;
    uint64_t first;
    std::memcpy(&first, guard.data().data(), sizeof first);
    return first;
  });
}

void Read(benchmark::State& state) {
  const TypedSet<Object> objects(TheWorld().set);
  Measure(state, [&](uint64_t id) {
    const Value<Object> value = objects.Get(id);
    return value ? value.value[0] : ~id;
  });
}

void SharedMutexMap(benchmark::State& state) {
  static std::shared_mutex mutex;
  static const auto map = [] {
    std::unordered_map<uint64_t, Object> filled;
    for (uint64_t id = 0; id < kObjects; ++id) filled[id] = {id};
    return filled;
  }();
  Measure(state, [&](uint64_t id) {
    const std::shared_lock lock(mutex);
    const auto found = map.find(id);
    return found == map.end() ? ~id : found->second[0];
  });
}

void UpdateOfLoan(benchmark::State& state) {
  static FakeDaemon daemon({.lend = true});
  static const ObjectSet set = Must(daemon.Connect().OpenSet("bench/set", {.create = true}));
  const TypedSet<uint64_t> numbers(set);
  for (auto _ : state) {
    if (!numbers.Update(1, [](uint64_t& number) { ++number; })) state.SkipWithError("no update");
  }
  state.SetItemsProcessed(state.iterations());
}

void SetByAsking(benchmark::State& state) {
  const TypedSet<uint64_t> numbers(TheWorld().set);
  for (auto _ : state) {
    if (numbers.Set(kObjects + 1, 1) != SetOutcome::kOk) state.SkipWithError("no set");
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(Get)->ArgName("uniform")->Arg(0)->Arg(1);
BENCHMARK(Read)->ArgName("uniform")->Arg(0)->Arg(1);
BENCHMARK(SharedMutexMap)->ArgName("uniform")->Arg(0)->Arg(1);
BENCHMARK(UpdateOfLoan);
BENCHMARK(SetByAsking)->UseRealTime();

}  // namespace
}  // namespace clustix::client

BENCHMARK_MAIN();
