// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/programs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

absl::Status AsStatus(const Error& error) { return absl::UnavailableError(error.message); }

absl::StatusOr<ObjectSet> Open(clustix::Client& client, const char* name, Durability durability) {
  Result<ObjectSet> set = client.OpenSet(
      name,
      {.create = true, .policy = {.durability = durability, .placement = Placement::kIdBits}});
  if (!set.ok()) return AsStatus(set.error());
  return *std::move(set);
}

struct Timed {
  SetOutcome outcome;
  uint64_t ns;
};

Timed DoOne(const ObjectSet& set, Op op, ObjectId object, std::span<const std::byte> value) {
  uint64_t begin = NowNs();
  const auto timed = [&begin](SetOutcome outcome) { return Timed{outcome, NowNs() - begin}; };
  switch (op) {
    case Op::kGet:
      return timed(set.Get(object).outcome());
    case Op::kSet:
      return timed(set.Set(object, value));
    case Op::kRemove:
      return timed(set.Remove(object));
    case Op::kGrab: {
      WriteGuard guard = set.Grab(object);
      return timed(guard.outcome());
    }
    case Op::kPut: {
      WriteGuard guard = set.Grab(object);
      if (!guard) return timed(guard.outcome());
      if (const SetOutcome assigned = guard.Assign(value); assigned != SetOutcome::kOk) {
        return timed(assigned);
      }
      begin = NowNs();
      return timed(guard.Put());
    }
  }
  return timed(SetOutcome::kInvalid);
}

}  // namespace

absl::Status WrongOutcome(const char* what, SetOutcome outcome) {
  return absl::InternalError(
      absl::StrCat(what, " of a program ended with \"", SetOutcomeName(outcome), "\""));
}

absl::StatusOr<std::unique_ptr<Programs>> Programs::Connect(
    const std::vector<std::string>& sockets) {
  auto programs = std::make_unique<Programs>();
  for (const std::string& socket : sockets) {
    Result<clustix::Client> client = clustix::Client::Connect({.socket = socket});
    if (!client.ok()) return AsStatus(client.error());
    ASSIGN_OR_RETURN(ObjectSet replicated,
                     Open(*client, "bench/replicated", Durability::kReplicas2));
    ASSIGN_OR_RETURN(ObjectSet solitary, Open(*client, "bench/solitary", Durability::kVolatile));
    programs->nodes_.push_back({.client = *std::move(client),
                                .replicated = std::move(replicated),
                                .solitary = std::move(solitary)});
  }
  return programs;
}

absl::Status Programs::Do(const Work& work, Histogram* latency) {
  const ObjectSet& objects = set(work.node, work.durability);
  const std::vector<std::byte> value(work.bytes);
  for (const ObjectId object : work.objects) {
    const Timed timed = DoOne(objects, work.op, object, value);
    // Whoever grabs what is not there may make it.
    const SetOutcome expected =
        work.absent && work.op == Op::kGet ? SetOutcome::kNotFound : SetOutcome::kOk;
    if (timed.outcome != expected) return WrongOutcome("an operation", timed.outcome);
    if (latency != nullptr) latency->Add(timed.ns);
  }
  return absl::OkStatus();
}

}  // namespace clustix::bench
