// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/hits.h"

#include <atomic>
#include <cstring>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "lib/base/prng.h"
#include "lib/base/status.h"
#include "tests/bench/kddm/programs.h"
#include "tests/bench/kddm/scenario.h"
#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

constexpr size_t kDrawn = 1 << 16;  // a power of two
constexpr size_t kBatch = 64;
constexpr size_t kUpdateBatch = 8;
constexpr size_t kWriters = 4;
constexpr uint64_t kFirstSerial = uint64_t{1} << 40;

ObjectId IdOf(size_t index) { return ObjectAt(kSelf, kFirstSerial + index); }

// `get` returns what the object has: its own number.
template <typename LookUp>
absl::StatusOr<Timing> Measure(const std::vector<ObjectId>& ids, uint64_t duration_ns, LookUp get) {
  Timing timing;
  size_t next = 0;
  uint64_t nothing = 0;
  const uint64_t begin = NowNs();
  for (uint64_t now = begin; now < begin + duration_ns;) {
    for (size_t i = 0; i < kBatch; ++i) {
      // Each id depends on what was read before: without that, the processor would overlap
      // look-ups that a program cannot.
      const ObjectId id = ids[next++ & (ids.size() - 1)] + nothing;
      const uint64_t found = get(id);
      if (found != id) [[unlikely]]
        return absl::InternalError("read what is not there");
      nothing = found & (uint64_t{1} << 63);
    }
    const uint64_t end = NowNs();
    timing.latency.Add((end - now) / kBatch);
    timing.operations += kBatch;
    now = end;
  }
  timing.spent_ns = NowNs() - begin;
  return timing;
}

}  // namespace

struct Hits::Map {
  std::shared_mutex mutex;
  std::unordered_map<ObjectId, uint64_t> values;
};

Hits::Hits(const ObjectSet& set, size_t objects)
    : set_(set), map_(std::make_unique<Map>()), written_(IdOf(objects)) {
  base::Prng prng(1);
  one_.assign(1, IdOf(0));
  for (size_t i = 0; i < kDrawn; ++i) all_.push_back(IdOf(prng.Below(objects)));
}

Hits::~Hits() = default;

absl::StatusOr<std::unique_ptr<Hits>> Hits::Make(const ObjectSet& set, size_t objects) {
  std::unique_ptr<Hits> hits(new Hits(set, objects));
  std::atomic<size_t> next = 0;
  std::atomic<SetOutcome> failed = SetOutcome::kOk;
  std::vector<std::thread> writers;
  for (size_t i = 0; i < kWriters; ++i) {
    writers.emplace_back([&] {
      for (size_t index = next++; index < objects && failed == SetOutcome::kOk; index = next++) {
        const ObjectId id = IdOf(index);
        const SetOutcome outcome = hits->set_.Set(id, id);
        if (outcome != SetOutcome::kOk) failed = outcome;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const SetOutcome outcome = hits->set_.Set(hits->written_, hits->written_);
  if (outcome != SetOutcome::kOk) failed = outcome;
  if (failed != SetOutcome::kOk) return WrongOutcome("writing objects", failed);
  for (size_t index = 0; index < objects; ++index) hits->map_->values[IdOf(index)] = IdOf(index);
  return hits;
}

absl::StatusOr<Timing> Hits::Get(bool uniform, uint64_t duration_ns) {
  const ObjectSet& set = set_.objects();
  return Measure(Ids(uniform), duration_ns, [&set](ObjectId id) -> uint64_t {
    const ReadGuard guard = set.Get(id);
    uint64_t value = ~id;
    if (guard && guard.data().size() == sizeof value) {
      std::memcpy(&value, guard.data().data(), sizeof value);
    }
    return value;
  });
}

absl::StatusOr<Timing> Hits::GetOfMap(bool uniform, uint64_t duration_ns) {
  return Measure(Ids(uniform), duration_ns, [this](ObjectId id) -> uint64_t {
    const std::shared_lock lock(map_->mutex);
    const auto found = map_->values.find(id);
    return found == map_->values.end() ? ~id : found->second;
  });
}

absl::StatusOr<Timing> Hits::Update(uint64_t duration_ns) {
  Timing timing;
  const uint64_t begin = NowNs();
  for (uint64_t now = begin; now < begin + duration_ns;) {
    for (size_t i = 0; i < kUpdateBatch; ++i) {
      const Value<uint64_t> updated = set_.Update(written_, [](uint64_t& value) { ++value; });
      if (!updated) return WrongOutcome("a grab and put", updated.outcome);
    }
    const uint64_t end = NowNs();
    timing.latency.Add((end - now) / kUpdateBatch);
    timing.operations += kUpdateBatch;
    now = end;
  }
  timing.spent_ns = NowNs() - begin;
  return timing;
}

}  // namespace clustix::bench
