// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/objects/journal.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace clustix {
namespace {

constexpr Wait kWait = {.timeout_ms = 15};
// Somebody who has just been killed may hold it.
constexpr Wait kLongWait = {.timeout_ms = 30'000};
constexpr size_t kLargest = 9000;

uint64_t Mix(uint64_t of, uint64_t index) {
  uint64_t mixed = of * 0x9e3779b97f4a7c15 ^ index;
  mixed = (mixed ^ (mixed >> 31)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 29);
}

uint64_t Name(size_t set, ObjectId id, uint64_t number) {
  return Mix(number, id * kJournalSets.size() + set);
}

std::string Text(size_t set, ObjectId id) {
  return std::string("object ") + std::to_string(id) + " of " + kJournalSets[set] + ": ";
}

}  // namespace

std::vector<std::byte> JournaledValue(size_t set, ObjectId id, uint64_t number) {
  const uint64_t name = Name(set, id, number);
  const size_t most = set == 1 && id % 4 == 0 ? kLargest : 240;
  std::vector<std::byte> value(sizeof number + Mix(name, UINT64_MAX) % (most - sizeof number));
  for (size_t at = 0; at < value.size(); at += 8) {
    const uint64_t word = at == 0 ? number : Mix(name, at);
    std::memcpy(value.data() + at, &word, std::min<size_t>(8, value.size() - at));
  }
  return value;
}

std::optional<uint64_t> NumberOf(size_t set, ObjectId id, std::span<const std::byte> value) {
  uint64_t number;
  if (value.size() < sizeof number) return std::nullopt;
  std::memcpy(&number, value.data(), sizeof number);
  const std::vector<std::byte> whole = JournaledValue(set, id, number);
  if (!std::equal(value.begin(), value.end(), whole.begin(), whole.end())) return std::nullopt;
  return number;
}

// --- Journal ---------------------------------------------------------------------------------

Journal::Journal() {
  void* memory =
      mmap(nullptr, sizeof(All), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  progress_ = new (memory) All();
}

Journal::~Journal() { munmap(progress_, sizeof(All)); }

void Journal::Raise(std::atomic<uint64_t>& to, uint64_t number) {
  uint64_t now = to;
  while (now < number && !to.compare_exchange_weak(now, number)) {
  }
}

// --- RandomProgram ---------------------------------------------------------------------------

std::string RandomProgram::Connect(const std::string& socket, Journal& journal, uint64_t seed,
                                   std::optional<RandomProgram>* program) {
  Result<Client> client = Client::Connect(
      {.socket = socket, .timeout_ms = 60'000, .spin_us = seed % 3 == 0 ? 0u : 50u});
  if (!client) return client.error().message;
  std::vector<ObjectSet> sets;
  for (size_t i = 0; i < kJournalSets.size(); ++i) {
    Result<ObjectSet> set = client->OpenSet(
        kJournalSets[i],
        {.create = true,
         .policy = {.durability = i == 0 ? Durability::kVolatile : Durability::kReplicas2}});
    if (!set) return set.error().message;
    sets.push_back(*std::move(set));
  }
  *program = RandomProgram(*std::move(client), {sets[0], sets[1]}, journal, seed);
  return "";
}

std::string RandomProgram::Judge(SetOutcome outcome, const char* what) {
  // Time is short, and another may have died with the object.
  if (outcome == SetOutcome::kOk || outcome == SetOutcome::kDeadline ||
      outcome == SetOutcome::kUnknown || outcome == SetOutcome::kRevoked) {
    return "";
  }
  return std::string(what) + ": " + SetOutcomeName(outcome);
}

// `acknowledged` was read before the object.
std::string RandomProgram::Judge(size_t set, ObjectId id, uint64_t acknowledged,
                                 std::span<const std::byte> data, uint64_t* number) {
  const std::optional<uint64_t> found = NumberOf(set, id, data);
  if (!found) return Text(set, id) + "torn";
  if (*found < acknowledged) {
    return Text(set, id) + std::to_string(*found) + ", but " + std::to_string(acknowledged) +
           " was acknowledged";
  }
  if (*found > journal_->at(set, id).attempted) {
    return Text(set, id) + "nobody has written " + std::to_string(*found);
  }
  if (number != nullptr) *number = *found;
  return "";
}

std::string RandomProgram::Turn() {
  if (prng_.Chance(1, 3)) held_.Abort();
  const size_t set = prng_.Below(kJournalSets.size());
  switch (prng_.Below(16)) {
    case 0:
    case 1:
    case 2:
      return Get();
    case 3:
    case 4:
      return Copy();
    case 5:
      return Many();
    case 6:
      return Scrap();
    case 7:
      return prng_.Chance(1, 8) ? Watch() : "";
    case 8:
    case 9:
      return Update(set, prng_.Below(kJournaled));
    default: {  // what is written again and again is lent
      const ObjectId favourite = prng_.Below(kJournaled);
      for (uint64_t left = prng_.Below(8); left > 0; --left) {
        if (std::string wrong = Update(0, favourite); !wrong.empty()) return wrong;
      }
      return "";
    }
  }
}

// Looks at a pin that it has held for a while, lets go of it, and takes another.
std::string RandomProgram::Get() {
  Pinned& pinned = pinned_[prng_.Below(pinned_.size())];
  if (pinned.guard && !NumberOf(pinned.set, pinned.id, pinned.guard.data())) {
    return Text(pinned.set, pinned.id) + "torn while it was pinned";
  }
  pinned = {.set = prng_.Below(kJournalSets.size()), .id = prng_.Below(kJournaled), .guard = {}};
  const uint64_t acknowledged = journal_->at(pinned.set, pinned.id).acknowledged;
  pinned.guard = sets_[pinned.set].Get(pinned.id, kWait);
  if (!pinned.guard) return Judge(pinned.guard.outcome(), "get");
  return Judge(pinned.set, pinned.id, acknowledged, pinned.guard.data());
}

std::string RandomProgram::Copy() {
  const size_t set = prng_.Below(kJournalSets.size());
  const ObjectId id = prng_.Below(kJournaled);
  const uint64_t acknowledged = journal_->at(set, id).acknowledged;
  std::array<std::byte, kLargest> to;
  size_t bytes = 0;
  const SetOutcome outcome = sets_[set].Read(id, to, &bytes, nullptr, kWait);
  if (outcome != SetOutcome::kOk) return Judge(outcome, "read");
  return Judge(set, id, acknowledged, std::span(to).first(bytes));
}

std::string RandomProgram::Many() {
  const size_t set = prng_.Below(kJournalSets.size());
  std::array<ObjectId, kJournaled> ids;
  std::array<uint64_t, kJournaled> acknowledged;
  for (ObjectId id = 0; id < kJournaled; ++id) {
    ids[id] = id;
    acknowledged[id] = journal_->at(set, id).acknowledged;
  }
  if (prng_.Chance(1, 2)) {
    sets_[set].Prefetch(ids);
    return "";
  }
  std::string wrong;
  const SetOutcome outcome = sets_[set].GetMany(
      ids,
      [&](size_t index, ReadGuard& object) {
        if (!object || !wrong.empty()) return;
        wrong = Judge(set, ids[index], acknowledged[index], object.data());
      },
      kWait);
  return wrong.empty() ? Judge(outcome, "get many") : wrong;
}

std::string RandomProgram::Update(size_t set, ObjectId id) {
  Journal::Progress& progress = journal_->at(set, id);
  const uint64_t acknowledged = progress.acknowledged;
  WriteGuard guard = sets_[set].Grab(id, kWait);
  if (!guard) return Judge(guard.outcome(), "grab");
  if (!guard.exists()) return Text(set, id) + "gone";
  uint64_t number = 0;
  if (std::string wrong = Judge(set, id, acknowledged, guard.data(), &number); !wrong.empty()) {
    return wrong;
  }
  Journal::Raise(progress.attempted, number + 1);
  const SetOutcome assigned = guard.Assign(JournaledValue(set, id, number + 1));
  if (assigned != SetOutcome::kOk) return Judge(assigned, "assign");
  if (prng_.Chance(1, 16)) {
    // Without a put: it is held for a while, and then left as it was.
    held_ = std::move(guard);
    return "";
  }
  const SetOutcome put = guard.Put(kWait);
  if (put != SetOutcome::kOk) return Judge(put, "put");
  Journal::Raise(progress.acknowledged, number + 1);
  return "";
}

std::string RandomProgram::Scrap() {
  const size_t set = prng_.Below(kJournalSets.size());
  const ObjectId id = kJournaled + prng_.Below(kScrap);
  const std::vector<std::byte> value = JournaledValue(set, id, prng_.Next());
  SetOutcome outcome = SetOutcome::kOk;
  ReadGuard read;
  switch (prng_.Below(5)) {
    case 0:
      outcome = sets_[set].Set(id, value, kWait);
      break;
    case 1:
      outcome = sets_[set].Remove(id, kWait);
      break;
    case 2:
      outcome = sets_[set].Migrate(id, static_cast<uint16_t>(1 + prng_.Below(2)), kWait);
      break;
    case 3:
      read = sets_[set].Touch(id, value, kWait);
      outcome = read.outcome();
      break;
    default:
      read = sets_[set].Find(id, kWait);
      outcome = read.outcome();
  }
  if (read && !NumberOf(set, id, read.data())) return Text(set, id) + "torn";
  return outcome == SetOutcome::kNotFound ? "" : Judge(outcome, "scrap");
}

std::string RandomProgram::Watch() {
  if (!watcher_) {
    Result<Watcher> watcher =
        sets_[prng_.Below(kJournalSets.size())].Watch(prng_.Below(kJournaled), kJournaled, kWait);
    if (watcher) watcher_ = *std::move(watcher);
    return "";
  }
  WatchEvent event;
  watcher_->Next(&event, {.timeout_ms = 1});
  if (prng_.Chance(1, 2)) watcher_.reset();
  return "";
}

std::string RandomProgram::Check(size_t set, ObjectId id) {
  const uint64_t acknowledged = journal_->at(set, id).acknowledged;
  {
    const ReadGuard read = sets_[set].Get(id, kLongWait);
    if (!read) return Text(set, id) + "get: " + SetOutcomeName(read.outcome());
    const std::string wrong = Judge(set, id, acknowledged, read.data());
    if (!wrong.empty()) return wrong;
  }
  WriteGuard guard = sets_[set].Grab(id, kLongWait);
  if (!guard) return Text(set, id) + "grab: " + SetOutcomeName(guard.outcome());
  return Judge(set, id, acknowledged, guard.data());
}

}  // namespace clustix
