// SPDX-License-Identifier: Apache-2.0
//
// What a hit in the object cache costs, next to the same look-up in a map of this process behind a
// std::shared_mutex, and what its parts cost. One thread, unless the name says otherwise.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <ctime>
#include <iostream>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "lib/cache/borrower.h"
#include "lib/cache/client_region.h"
#include "lib/cache/host.h"
#include "lib/cache/lease.h"
#include "lib/cache/lender.h"
#include "lib/cache/node_view.h"
#include "lib/cache/reader.h"
#include "lib/cache/set_view.h"
#include "tests/bench/cache/look_ups.h"

namespace clustix::cache {
namespace {

using bench::Ids;
using bench::kObjects;
using bench::Measure;
constexpr size_t kObjectBytes = 64;
using Object = std::array<std::byte, kObjectBytes>;
constexpr uint64_t kHourNs = uint64_t{3600} * 1'000'000'000;

template <typename Value>
Value Must(absl::StatusOr<Value> value) {
  if (value.ok()) return *std::move(value);
  std::cerr << "cache_bench: " << value.status() << "\n";
  exit(1);
}

// A daemon with one client, in this process: a client's views are mappings of their own, as they
// would be in another.
struct Node {
  explicit Node(const Host::Options& options = Host::Options())
      : host(Must(Host::Create(options))) {
    host->lease().ExtendUntil(MonotonicNs() + kHourNs);
    set = Must(host->CreateSet("bench", 64 << 20));
    for (uint64_t id = 0; id < kObjects; ++id) {
      Object object{};
      std::memcpy(object.data(), &id, sizeof id);
      if (!set->Put(id, 1, object).ok()) abort();
    }
    HostRegion* from = Must(host->Attach());
    node = Must(NodeView::Map(host->node_fd_for_clients()));
    region = Must(ClientRegion::Map(from->fd_for_client(), from->TakeClientBell(), node.get()));
    view = Must(SetView::Map(set->fd_for_clients()));
    reader = Reader::Create(node.get(), region.get());
  }

  std::unique_ptr<Host> host;
  std::unique_ptr<ObjectStore> set;
  std::unique_ptr<NodeView> node;
  std::unique_ptr<ClientRegion> region;
  std::unique_ptr<SetView> view;
  std::unique_ptr<Reader> reader;
};

Node& TheNode() {
  static Node node;
  return node;
}
Node& NodeWithFullFences() {
  static Node node({.allow_membarrier = false});
  return node;
}
Node& NodeWithMonotonicClock() {
  static Node node({.clock = LeaseClockKind::kMonotonic});
  return node;
}

uint64_t First8(const std::byte* data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof word);
  return word;
}

void GetAndPut(benchmark::State& state, Node& node) {
  Measure(state, [&](uint64_t id) {
    Pinned pinned;
    if (node.reader->Get(*node.view, id, &pinned) != Lookup::kHit) return ~id;
    return First8(pinned.data().data());
  });
}

void CacheGetPut(benchmark::State& state) { GetAndPut(state, TheNode()); }
void CacheGetPutFullFence(benchmark::State& state) { GetAndPut(state, NodeWithFullFences()); }
void CacheGetPutMonotonicClock(benchmark::State& state) {
  GetAndPut(state, NodeWithMonotonicClock());
}

void CacheRead(benchmark::State& state) {
  Node& node = TheNode();
  Measure(state, [&](uint64_t id) {
    Object object;
    ObjectInfo info;
    if (node.reader->Read(*node.view, id, object, &info) != Lookup::kHit) return ~id;
    return First8(object.data());
  });
}

// The least that a program would write by itself: no lease, no other process, no crash survived.
void SharedMutexMap(benchmark::State& state) {
  static std::shared_mutex mutex;
  static const auto map = [] {
    std::unordered_map<uint64_t, Object> made;
    for (uint64_t id = 0; id < kObjects; ++id) std::memcpy(made[id].data(), &id, sizeof id);
    return made;
  }();
  Measure(state, [&](uint64_t id) {
    const std::shared_lock lock(mutex);
    const auto found = map.find(id);
    return found == map.end() ? ~id : First8(found->second.data());
  });
}

// Over one object that is lent, and over as many as can be.
void LoanGrabPut(benchmark::State& state) {
  Node& node = TheNode();
  HostRegion* from = Must(node.host->Attach());
  const auto region =
      Must(ClientRegion::Map(from->fd_for_client(), from->TakeClientBell(), node.node.get()));
  Lender lender(from, node.host->fence());
  Borrower borrower(node.node.get(), region.get());
  const uint64_t objects = state.range(0) != 0 ? kLoans : 1;
  for (uint64_t id = 0; id < objects; ++id) borrower.Accept(1, id, *lender.Lend(1, Object()));
  const std::vector<uint64_t>& ids = Ids(true);
  uint64_t next = 0;
  for (auto _ : state) {
    Grabbed grabbed;
    const uint64_t id = ids[next++ % ids.size()] % objects;
    if (borrower.Grab(1, id, &grabbed) != GrabResult::kGrabbed) {
      state.SkipWithError("not lent");
      break;
    }
    std::memcpy(grabbed.buffer().data(), &next, sizeof next);
    if (grabbed.Put(kObjectBytes) != PutResult::kCommitted) state.SkipWithError("not committed");
  }
  state.SetItemsProcessed(state.iterations());
}

void Publish(benchmark::State& state) {
  static Node node;
  const std::vector<uint64_t>& ids = Ids(state.range(0) != 0);
  Object object{};
  uint64_t version = 1;
  for (auto _ : state) {
    const uint64_t id = ids[version & (ids.size() - 1)];
    std::memcpy(object.data(), &id, sizeof id);
    if (!node.set->Put(id, ++version, object).ok()) state.SkipWithError("no room");
  }
  state.SetItemsProcessed(state.iterations());
}

void ClockTsc(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(LeaseNow(LeaseClockKind::kTsc));
}
void ClockMonotonic(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(LeaseNow(LeaseClockKind::kMonotonic));
}
void ClockMonotonicCoarse(benchmark::State& state) {
  for (auto _ : state) {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    benchmark::DoNotOptimize(now);
  }
}
void HeavyFencePass(benchmark::State& state) {
  HeavyFence fence;
  for (auto _ : state) fence.Pass();
}

#define HOT_AND_UNIFORM(what) BENCHMARK(what)->ArgName("uniform")->Arg(0)->Arg(1)
HOT_AND_UNIFORM(CacheGetPut);
HOT_AND_UNIFORM(CacheRead);
HOT_AND_UNIFORM(SharedMutexMap);
HOT_AND_UNIFORM(LoanGrabPut);
HOT_AND_UNIFORM(CacheGetPutFullFence);
HOT_AND_UNIFORM(CacheGetPutMonotonicClock);
HOT_AND_UNIFORM(Publish);
BENCHMARK(ClockTsc);
BENCHMARK(ClockMonotonic);
BENCHMARK(ClockMonotonicCoarse);
BENCHMARK(HeavyFencePass);

}  // namespace
}  // namespace clustix::cache

BENCHMARK_MAIN();
