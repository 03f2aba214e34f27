// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/litmus.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "lib/base/prng.h"
#include "tests/sim/kddm/cluster.h"
#include "tests/sim/kddm/profile.h"
#include "tests/sim/kddm/program.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace clustix::sim {
namespace {

using kddm::OpKind;
using kddm::Status;
using What = LitmusStep::What;

size_t ObjectsOf(const Litmus& litmus) {
  size_t objects = 0;
  for (const auto& thread : litmus.threads) {
    for (const LitmusStep& step : thread) objects = std::max(objects, step.object + 1);
  }
  return objects;
}

Outcome Flatten(const std::vector<std::vector<Value>>& seen, const Litmus& litmus,
                const std::vector<Value>& finals) {
  Outcome outcome;
  for (const auto& values : seen) outcome.insert(outcome.end(), values.begin(), values.end());
  if (litmus.finals) outcome.insert(outcome.end(), finals.begin(), finals.end());
  return outcome;
}

// One node more than threads, which may be home and fail; messages of all kinds of delay.
Profile LitmusProfile(const Litmus& litmus, kddm::Durability durability, base::Prng& prng) {
  Profile profile(prng.Fork());
  profile.nodes = static_cast<NodeId>(litmus.threads.size() + 2);
  profile.joins = false;
  profile.fault_interval = 0;
  profile.budget_bytes = SIZE_MAX;
  profile.objects.clear();
  for (size_t i = 0; i < ObjectsOf(litmus); ++i) {
    const NodeId home = static_cast<NodeId>(prng.Between(1, profile.nodes));
    profile.objects.push_back({.object = static_cast<uint64_t>(home) << 48 | i,
                               .set = kddm::MakeSetId(durability, kddm::Placement::kIdBits, 1, 1)});
  }
  return profile;
}

class LitmusRun final : public Cluster::Listener {
 public:
  LitmusRun(const Litmus& litmus, kddm::Durability durability, LitmusFault fault, uint64_t seed)
      : litmus_(litmus),
        fault_(fault),
        prng_(seed * 0x9e3779b97f4a7c15u + 0x6c69746d),
        profile_(LitmusProfile(litmus, durability, prng_)),
        scheduler_(kSecond),
        trace_(scheduler_, false),
        cluster_(profile_, prng_.Next(), scheduler_, trace_, *this),
        seen_(litmus.threads.size()) {}

  std::optional<Outcome> Run() {
    cluster_.Start();
    Prepare();
    if (!Drain()) return std::nullopt;
    for (size_t thread = 0; thread < litmus_.threads.size(); ++thread) {
      ++running_;
      scheduler_.After(Pause(), [this, thread] { RunStep(thread, 0); });
    }
    if (fault_ != LitmusFault::kNone) scheduler_.After(Pause(), [this] { Fail(); });
    if (!Drain()) return std::nullopt;
    std::vector<Value> finals;
    for (size_t object = 0; object < profile_.objects.size(); ++object) {
      finals.push_back(kLostValue);
      Do(1, OpKind::kGet, object, nullptr,
         [&finals, object](const kddm::Completion& c) { finals[object] = ValueOf(c); });
    }
    if (!Drain()) return std::nullopt;
    return Flatten(seen_, litmus_, finals);
  }

  void OnCompletion(NodeId, const kddm::Completion& completion) override {
    const auto found = then_.find(completion.op);
    if (found == then_.end()) return;
    const Then then = std::move(found->second);
    then_.erase(found);
    --running_;
    if (then != nullptr) then(completion);
  }
  void OnRevoked(NodeId, kddm::OpId) override {}
  void OnDown(NodeId) override {}
  void OnUp(NodeId) override {}
  void OnChange(NodeId, const kddm::Change&) override {}
  void OnTouched(const kddm::ObjectKey&) override {}

 private:
  using Then = std::function<void(const kddm::Completion&)>;

  NodeId NodeOf(size_t thread) const { return static_cast<NodeId>(thread + 1); }
  TimeNs Pause() { return prng_.Below(4 * profile_.delay_max); }

  // Runs until nothing is under way; false: something never ends.
  bool Drain() {
    const TimeNs until = scheduler_.Now() + 10 * kSecond;
    while (running_ > 0 && scheduler_.Now() < until) {
      scheduler_.RunUntil(scheduler_.Now() + kMs, [this] { return running_ > 0; });
    }
    return running_ == 0;
  }

  void Do(NodeId node, OpKind kind, size_t object, kddm::Data data, Then then) {
    const kddm::OpId op = next_op_++;
    ++running_;
    then_[op] = std::move(then);
    cluster_.Feed(node, profile_.objects[object], [&](kddm::Engine& engine) {
      engine.Start({.id = op,
                    .kind = kind,
                    .key = profile_.objects[object],
                    .hold = false,
                    .data = std::move(data)});
    });
  }

  // Every object has its first value, written by some node, and some nodes have read it.
  void Prepare() {
    for (size_t object = 0; object < profile_.objects.size(); ++object) {
      const NodeId writer = static_cast<NodeId>(prng_.Between(1, profile_.nodes));
      Do(writer, OpKind::kSet, object, NewData(0), [this, object](const kddm::Completion&) {
        for (NodeId node = 1; node <= profile_.nodes; ++node) {
          if (prng_.Chance(2, 3)) Do(node, OpKind::kGet, object, nullptr, nullptr);
        }
      });
    }
  }

  // Values of either lane, so that answers overtake each other.
  kddm::Data NewData(Value value) { return MakeData(value, prng_.Chance(1, 3) ? 5000 : 8); }

  void RunStep(size_t thread, size_t index) {
    const auto& steps = litmus_.threads[thread];
    if (index == steps.size()) {
      --running_;
      return;
    }
    const LitmusStep step = steps[index];
    auto next = [this, thread, index](const kddm::Completion&) {
      if (prng_.Chance(1, 2)) return RunStep(thread, index + 1);
      scheduler_.After(Pause(), [this, thread, index] { RunStep(thread, index + 1); });
    };
    const NodeId node = NodeOf(thread);
    if (step.what == What::kWrite && prng_.Chance(1, 2)) {
      return Do(node, OpKind::kSet, step.object, NewData(step.value), next);
    }
    if (step.what == What::kRead) {
      return Do(node, OpKind::kGet, step.object, nullptr,
                [this, thread, next](const kddm::Completion& completion) {
                  seen_[thread].push_back(ValueOf(completion));
                  next(completion);
                });
    }
    Do(node, OpKind::kGrab, step.object, nullptr,
       [this, thread, node, step, next](const kddm::Completion& grabbed) {
         const Value old = ValueOf(grabbed);
         const bool increments = step.what == What::kIncrement;
         if (increments) seen_[thread].push_back(old);
         if (grabbed.status != Status::kOk) return next(grabbed);
         const kddm::OpId put = next_op_++;
         ++running_;
         then_[put] = next;
         cluster_.Feed(node, profile_.objects[step.object], [&](kddm::Engine& engine) {
           engine.Put(put, grabbed.op, NewData(increments ? old + 1 : step.value));
         });
       });
  }

  void Fail() {
    if (fault_ == LitmusFault::kCrash) {
      return cluster_.Crash(static_cast<NodeId>(prng_.Between(profile_.nodes - 1, profile_.nodes)));
    }
    const NodeId node = static_cast<NodeId>(prng_.Between(1, profile_.nodes));
    cluster_.Isolate(node);
    scheduler_.After(prng_.Between(1, 2 * kMs), [this, node] { cluster_.Reconnect(node); });
  }

  const Litmus& litmus_;
  const LitmusFault fault_;
  base::Prng prng_;
  const Profile profile_;
  Scheduler scheduler_;
  Trace trace_;
  Cluster cluster_;
  std::vector<std::vector<Value>> seen_;
  std::map<kddm::OpId, Then> then_;
  kddm::OpId next_op_ = 1;
  size_t running_ = 0;  // threads, and operations
};

// All orders of the steps, depth first.
class Orders {
 public:
  explicit Orders(const Litmus& litmus)
      : litmus_(litmus),
        at_(litmus.threads.size()),
        values_(ObjectsOf(litmus)),
        seen_(litmus.threads.size()) {}

  Outcomes Find() {
    Explore();
    return found_;
  }

 private:
  void Explore() {
    bool all = true;
    for (size_t thread = 0; thread < litmus_.threads.size(); ++thread) {
      if (at_[thread] == litmus_.threads[thread].size()) continue;
      all = false;
      const LitmusStep& step = litmus_.threads[thread][at_[thread]];
      const Value before = values_[step.object];
      if (step.what != What::kWrite) seen_[thread].push_back(before);
      if (step.what == What::kWrite) values_[step.object] = step.value;
      if (step.what == What::kIncrement) ++values_[step.object];
      ++at_[thread];
      Explore();
      --at_[thread];
      values_[step.object] = before;
      if (step.what != What::kWrite) seen_[thread].pop_back();
    }
    if (all) found_.insert(Flatten(seen_, litmus_, values_));
  }

  const Litmus& litmus_;
  std::vector<size_t> at_;
  std::vector<Value> values_;
  std::vector<std::vector<Value>> seen_;
  Outcomes found_;
};

}  // namespace

Outcomes SequentialOutcomes(const Litmus& litmus) { return Orders(litmus).Find(); }

std::optional<Outcome> RunLitmus(const Litmus& litmus, kddm::Durability durability,
                                 LitmusFault fault, uint64_t seed) {
  return LitmusRun(litmus, durability, fault, seed).Run();
}

std::string Describe(const Outcome& outcome) {
  std::string text;
  for (const Value value : outcome) text += (text.empty() ? "" : " ") + std::to_string(value);
  return text;
}

}  // namespace clustix::sim
