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
    // A read that fits now changes nothing for the others: no need to try it later.
    uint64_t first_end = FirstEnd(done);
    for (size_t i = 0; i < calls_.size() && calls_[i].invoked <= first_end; ++i) {
      const bool fits = calls_[i].what == Call::What::kRead && calls_[i].seen == value;
      if (!fits || (done >> i & 1) != 0) continue;
      done |= uint64_t{1} << i;
      first_end = FirstEnd(done);
    }
    if ((done & must_) == must_) return true;
    if (!visited_.insert(done * 0x9e3779b97f4a7c15u ^ static_cast<uint32_t>(value)).second) {
      return false;
    }
    for (size_t i = 0; i < calls_.size() && calls_[i].invoked <= first_end; ++i) {
      if ((done >> i & 1) != 0) continue;
      const std::optional<Value> after = Apply(calls_[i], value, may_be_lost_);
      if (after.has_value() && Find(done | uint64_t{1} << i, *after)) return true;
    }
    return false;
  }

 private:
  // Only calls that began before the first of the remaining ones ended can be next.
  uint64_t FirstEnd(uint64_t done) const {
    uint64_t first_end = kNever;
    for (size_t i = 0; i < calls_.size(); ++i) {
      if ((done >> i & 1) == 0) first_end = std::min(first_end, calls_[i].returned);
    }
    return first_end;
  }

  const std::vector<Call>& calls_;
  const bool may_be_lost_;
  uint64_t must_ = 0;
  std::unordered_set<uint64_t> visited_;
};

// Depth-first search for one order of all; remembers which (calls done, values) lead nowhere.
class SequentialSearch {
 public:
  explicit SequentialSearch(const std::vector<Call>& calls) {
    std::map<uint32_t, size_t> program_of;
    for (const Call& call : calls) {
      values_.resize(std::max<size_t>(values_.size(), call.object + 1), kAbsentValue);
      const bool of_nobody = call.returned == kNever;  // so that nothing has to follow it
      const auto known = program_of.find(call.client);
      if (!of_nobody && known != program_of.end()) {
        programs_[known->second].push_back(call);
        continue;
      }
      if (!of_nobody) program_of[call.client] = programs_.size();
      programs_.push_back({call});
    }
    at_.resize(programs_.size());
  }

  bool Find() {
    const std::vector<size_t> at = at_;
    ReadAll();
    if (visited_.insert({at_, values_}).second && FindNext()) return true;
    at_ = at;
    return false;
  }

 private:
  const Call* Next(size_t program) const {
    const std::vector<Call>& calls = programs_[program];
    return at_[program] == calls.size() ? nullptr : &calls[at_[program]];
  }

  // A read that fits now changes nothing for the others: no need to try it later.
  void ReadAll() {
    for (size_t i = 0; i < programs_.size(); ++i) {
      for (const Call* call = Next(i); call != nullptr; call = Next(i)) {
        if (call->what != Call::What::kRead || call->seen != values_[call->object]) break;
        ++at_[i];
      }
    }
  }

  bool FindNext() {
    // What ended first, first: in a history that is linearizable this hardly ever goes astray.
    std::vector<std::pair<uint64_t, size_t>> order;
    for (size_t i = 0; i < programs_.size(); ++i) {
      if (const Call* call = Next(i)) order.emplace_back(call->returned, i);
    }
    std::sort(order.begin(), order.end());
    if (order.empty() || order.front().first == kNever) return true;
    for (const auto& [returned, i] : order) {
      const Call& call = *Next(i);
      const Value before = values_[call.object];
      const std::optional<Value> after = Apply(call, before, false);
      if (!after.has_value()) continue;
      ++at_[i];
      values_[call.object] = *after;
      if (Find()) return true;
      --at_[i];
      values_[call.object] = before;
    }
    return false;
  }

  std::vector<std::vector<Call>> programs_;  // of clients
  std::vector<size_t> at_;                   // by program: calls done
  std::vector<Value> values_;                // by object
  std::set<std::pair<std::vector<size_t>, std::vector<Value>>> visited_;
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
  if (sorted.size() > kSequentialCallsMax) return {.ok = false, .why = "too many calls"};
  if (SequentialSearch(sorted).Find()) return {};
  return {.ok = false, .why = "not sequentially consistent:" + DescribeAll(sorted)};
}

}  // namespace clustix::sim
