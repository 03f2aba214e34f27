// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/history.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

namespace clustix::sim {
namespace {

// The value after the call, if it can happen when the object has `value`.
std::optional<Value> Apply(const Call& call, Value value, bool may_be_lost) {
  const bool known = call.returned != kNever;
  switch (call.what) {
    case Call::What::kRead:
      if (call.seen == kLostValue) {
        return may_be_lost || value == kLostValue ? std::optional(kLostValue) : std::nullopt;
      }
      return call.seen == value ? std::optional(value) : std::nullopt;
    case Call::What::kWrite:
      return call.written;
    case Call::What::kUpdate:
      return call.seen == value ? std::optional(call.written) : std::nullopt;
    case Call::What::kTouch:
      if (value == kLostValue) return known ? std::nullopt : std::optional(value);
      if (value == kAbsentValue) {
        return known && call.seen != call.written ? std::nullopt : std::optional(call.written);
      }
      return known && call.seen != value ? std::nullopt : std::optional(value);
    case Call::What::kRemove:
      return kAbsentValue;
  }
  return std::nullopt;
}

// Depth-first search for an order; remembers which (calls done, value) lead nowhere.
class LinearizabilitySearch {
 public:
  LinearizabilitySearch(const std::vector<Call>& calls, bool may_be_lost)
      : calls_(calls), may_be_lost_(may_be_lost) {
    for (size_t i = 0; i < calls.size(); ++i) {
      if (calls[i].returned != kNever) must_ |= uint64_t{1} << i;
    }
  }

  bool Find(uint64_t done, Value value) {
    if ((done & must_) == must_) return true;
    if (!visited_.insert(done * 0x9e3779b97f4a7c15u ^ static_cast<uint32_t>(value)).second) {
      return false;
    }
    // Only calls that began before the first of the remaining ones ended can be next.
    uint64_t first_end = kNever;
    for (size_t i = 0; i < calls_.size(); ++i) {
      if ((done >> i & 1) == 0) first_end = std::min(first_end, calls_[i].returned);
    }
    for (size_t i = 0; i < calls_.size(); ++i) {
      if ((done >> i & 1) != 0) continue;
      if (calls_[i].invoked > first_end) break;  // and all after it
      const std::optional<Value> after = Apply(calls_[i], value, may_be_lost_);
      if (after.has_value() && Find(done | uint64_t{1} << i, *after)) return true;
    }
    return false;
  }

 private:
  const std::vector<Call>& calls_;
  const bool may_be_lost_;
  uint64_t must_ = 0;
  std::unordered_set<uint64_t> visited_;
};

class SequentialSearch {
 public:
  explicit SequentialSearch(const std::vector<Call>& calls) {
    for (const Call& call : calls) programs_[call.client].push_back(call);
  }

  bool Find(std::map<uint32_t, size_t> at, std::map<uint32_t, Value> values) {
    if (!visited_.insert({at, values}).second) return false;
    bool all = true;
    for (const auto& [client, program] : programs_) {
      const size_t next = at[client];
      if (next == program.size()) continue;
      all = false;
      const Call& call = program[next];
      const std::optional<Value> after = Apply(call, values[call.object], false);
      if (!after.has_value()) continue;
      std::map<uint32_t, size_t> at_after = at;
      std::map<uint32_t, Value> values_after = values;
      ++at_after[client];
      values_after[call.object] = *after;
      if (Find(std::move(at_after), std::move(values_after))) return true;
    }
    return all;
  }

 private:
  std::map<uint32_t, std::vector<Call>> programs_;
  std::set<std::pair<std::map<uint32_t, size_t>, std::map<uint32_t, Value>>> visited_;
};

std::string DescribeAll(const std::vector<Call>& calls) {
  std::string text;
  for (const Call& call : calls) text += "\n  " + Describe(call);
  return text;
}

}  // namespace

std::string Describe(const Call& call) {
  static constexpr const char* kNames[] = {"read", "write", "update", "touch", "remove"};
  char text[160];
  char end[32] = "?";
  if (call.returned != kNever) std::snprintf(end, sizeof(end), "%" PRIu64, call.returned);
  std::snprintf(text, sizeof(text), "client %u object %u %-6s saw %d wrote %d  [%" PRIu64 ", %s]",
                call.client, call.object, kNames[static_cast<size_t>(call.what)], call.seen,
                call.written, call.invoked, end);
  return text;
}

Judgement JudgeLinearizable(const std::vector<Call>& calls, bool may_be_lost) {
  std::vector<Call> sorted = calls;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Call& a, const Call& b) { return a.invoked < b.invoked; });
  if (sorted.size() > 64) return {.ok = false, .why = "more than 64 calls of one object"};
  if (LinearizabilitySearch(sorted, may_be_lost).Find(0, kAbsentValue)) return {};
  return {.ok = false, .why = "not linearizable:" + DescribeAll(sorted)};
}

Judgement JudgeSequential(const std::vector<Call>& calls) {
  std::vector<Call> sorted = calls;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Call& a, const Call& b) { return a.invoked < b.invoked; });
  if (SequentialSearch(sorted).Find({}, {})) return {};
  return {.ok = false, .why = "not sequentially consistent:" + DescribeAll(sorted)};
}

}  // namespace clustix::sim
