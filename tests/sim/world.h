// SPDX-License-Identifier: Apache-2.0
//
// One simulated cluster, drawn from one seed. Phase one: faults, and every promise of safety is
// checked at every step. Phase two: faults stop, what is to live lives, and within a bound of
// simulated time everybody must be up, every queue empty and every outcome told.
#ifndef CLUSTIX_TESTS_SIM_WORLD_H_
#define CLUSTIX_TESTS_SIM_WORLD_H_

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/prng.h"
#include "tests/sim/checker.h"
#include "tests/sim/intruder.h"
#include "tests/sim/network.h"
#include "tests/sim/process.h"
#include "tests/sim/profile.h"
#include "tests/sim/run.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"
#include "tests/sim/wire_watch.h"

namespace clustix::sim {

class World {
 public:
  World(uint64_t seed, bool print_trace);
  ~World();
  RunResult Run();

 private:
  struct Node {
    NodeId id;
    std::string address;
    bool absent = false;  // never started; an intruder may sit at its address
    bool member = true;   // has the right key and cluster
    bool dead = false;    // stays down in the end
    std::unique_ptr<Process> process;
    uint64_t lives = 0;
  };

  void Build();
  Process::Options OptionsFor(const Node& node);
  void StartNode(size_t index);
  void StartStranger();
  void StartClone();

  // Faults (faults.cc).
  void NextFault();
  void CutLinks(const std::vector<std::pair<HostId, HostId>>& links);
  void FaultOnLinks(uint64_t kind);
  void FaultOnConnection(uint64_t kind);
  void FaultOnProcess(uint64_t kind);
  void StopFor(size_t index, TimeNs duration);
  void EndNode(size_t index, uint64_t how);
  void RestartNode(size_t index);
  void Heal();

  // The second phase.
  void Step(TimeNs duration);
  bool Settle(const char* phase, TimeNs within);
  std::string Unsettled() const;
  void CheckStrangers();
  void CheckBackoff();
  void End();
  std::vector<NodeId> Live() const;

  base::Prng prng_;
  const Profile profile_;
  Scheduler scheduler_;
  const TimeNs start_;
  const TimeNs faults_end_;
  Trace trace_;
  Checker checker_;
  WireWatch watch_;
  Network network_;
  std::array<uint8_t, KCCM_CLUSTER_BYTES> cluster_;
  std::array<uint8_t, KCCM_KEY_BYTES> key_;
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<Process>> former_;  // processes that have ended
  std::unique_ptr<Process> stranger_;             // a clone, or a node that nobody has configured
  std::unique_ptr<SimIo> intruder_io_;
  std::unique_ptr<Intruder> intruder_;
  bool healing_ = false;
  bool restarts_ = false;  // some node was restarted
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_WORLD_H_
