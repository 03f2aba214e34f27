// SPDX-License-Identifier: Apache-2.0
//
// The story of a seed. Phase one: random clients, and faults. Phase two: the faults stop, everybody
// comes back, and within a bound of simulated time every operation must have ended, every object
// must have the copies that its set wants, and all nodes must read the same.
#include <string>

#include "lib/base/prng.h"
#include "tests/sim/kddm/cluster.h"
#include "tests/sim/kddm/profile.h"
#include "tests/sim/kddm/program.h"
#include "tests/sim/run.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace clustix::sim {
namespace {

class World {
 public:
  World(uint64_t seed, bool print)
      : prng_(seed * 0x9e3779b97f4a7c15u + 0x6b64646d),
        profile_(prng_.Fork()),
        scheduler_(kSecond),
        trace_(scheduler_, print),
        program_(profile_, prng_.Next(), scheduler_, trace_),
        cluster_(profile_, prng_.Next(), scheduler_, trace_, program_) {
    program_.Attach(cluster_);
  }

  RunResult Run() {
    const TimeNs start = scheduler_.Now();
    for (const kddm::ObjectKey& key : profile_.objects) {
      trace_.Note(0, "object", key.object & 255, key.set >> 30, key.set >> 28 & 3);
    }
    cluster_.Start();
    if (profile_.fault_interval != 0) NextFault();
    if (profile_.pressure_interval != 0) NextPressure();
    Step(profile_.faults_end);
    healing_ = true;
    Heal();
    Step(kHealTime);
    program_.Stop();
    std::string violation = Converge("after the faults");
    if (violation.empty()) {
      program_.ReadAll();
      violation = Converge("after everybody has read everything");
    }
    if (violation.empty()) violation = program_.Judge();
    return {.violation = violation,
            .trace_hash = trace_.hash(),
            .events = scheduler_.executed(),
            .messages = cluster_.messages(),
            .simulated_ns = scheduler_.Now() - start};
  }

 private:
  static constexpr TimeNs kHealTime = 5 * kMs;
  static constexpr TimeNs kBound = 2 * kSecond;

  void Step(TimeNs duration) {
    scheduler_.RunUntil(scheduler_.Now() + duration,
                        [this] { return program_.violation().empty(); });
  }

  void NextFault() {
    scheduler_.After(prng_.Between(1, profile_.fault_interval), [this] {
      if (healing_) return;
      Fault();
      NextFault();
    });
  }

  void NextPressure() {
    scheduler_.After(prng_.Between(1, profile_.pressure_interval), [this] {
      if (healing_) return;
      const NodeId node = static_cast<NodeId>(prng_.Between(1, profile_.nodes));
      trace_.Note(node, "lacks memory");
      cluster_.Feed(node, {}, [](kddm::Engine& engine) { engine.MakeRoom(SIZE_MAX); });
      NextPressure();
    });
  }

  void Fault() {
    if (profile_.one_at_a_time && !cluster_.Settled()) return;
    const std::vector<NodeId> nodes = cluster_.Expendable();
    if (nodes.empty()) return;
    const NodeId node = nodes[prng_.Below(nodes.size())];
    if (prng_.Chance(1, 3)) return cluster_.Bounce(node);
    if (prng_.Chance(1, 2)) {
      cluster_.Crash(node);
    } else {
      cluster_.Isolate(node);
      // Some partitions heal before anybody acts on them.
      const bool briefly = prng_.Chance(1, 2);
      scheduler_.After(prng_.Between(1, 2 * kMs), [this, node, briefly] {
        if (!cluster_.IsIsolated(node)) return;
        briefly ? cluster_.Reconnect(node) : cluster_.CutOff(node);
      });
      if (briefly) return;
    }
    ComeBack(node);
  }

  void ComeBack(NodeId node) {
    scheduler_.After(
        profile_.down_min + prng_.Between(1, 2 * profile_.fault_interval),
        [this, node] { cluster_.InView(node) ? ComeBack(node) : cluster_.Restart(node); });
  }

  void Heal() {
    trace_.Note(0, "heal");
    for (NodeId node = 1; node <= profile_.nodes; ++node) {
      if (cluster_.IsIsolated(node)) cluster_.Reconnect(node);
    }
  }

  std::string Converge(const char* when) {
    const TimeNs until = scheduler_.Now() + kBound;
    while (scheduler_.Now() < until && program_.violation().empty()) {
      Step(5 * kMs);
      bool all_up = true;
      for (NodeId node = 1; node <= profile_.nodes; ++node) {
        all_up = all_up && cluster_.engine(node) != nullptr;
        if (cluster_.engine(node) == nullptr) cluster_.Restart(node);
      }
      if (all_up && program_.idle() && cluster_.Settled() && cluster_.Quiet() &&
          cluster_.CheckAtRest(profile_.objects).empty()) {
        return program_.violation();
      }
    }
    if (!program_.violation().empty()) return program_.violation();
    const std::string rest = cluster_.CheckAtRest(profile_.objects);
    if (!rest.empty()) return std::string(when) + ": " + rest;
    if (!program_.idle()) return std::string(when) + ", an operation does not end";
    return std::string(when) + ", the cluster does not settle";
  }

  base::Prng prng_;
  const Profile profile_;
  Scheduler scheduler_;
  Trace trace_;
  Program program_;
  Cluster cluster_;
  bool healing_ = false;
};

}  // namespace

RunResult RunSeed(uint64_t seed, bool print_trace) { return World(seed, print_trace).Run(); }

}  // namespace clustix::sim
