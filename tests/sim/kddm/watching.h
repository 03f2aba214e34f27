// SPDX-License-Identifier: Apache-2.0
//
// Watches of the nodes of a cluster, and the judge of what they were told: after a watch has begun,
// no acknowledged commit of its range is missed, nothing is told of a watch that is none, and no
// node remembers more than there is.
#ifndef CLUSTIX_TESTS_SIM_KDDM_WATCHING_H_
#define CLUSTIX_TESTS_SIM_KDDM_WATCHING_H_

#include <map>
#include <string>
#include <vector>

#include "lib/base/prng.h"
#include "lib/kddm/message.h"
#include "lib/kddm/outbox.h"
#include "tests/sim/kddm/cluster.h"
#include "tests/sim/kddm/profile.h"
#include "tests/sim/scheduler.h"

namespace clustix::sim {

// Moments are the program's: a counter of what clients do and are told.
class Watching {
 public:
  Watching(const Profile& profile, base::Prng prng, Scheduler& scheduler)
      : profile_(profile), prng_(prng), scheduler_(scheduler) {}
  void Attach(Cluster& cluster) { cluster_ = &cluster; }

  void OnUp(NodeId node);
  void OnDown(NodeId node);
  static bool Owns(kddm::OpId op) { return op >= kFirst; }
  void OnBegun(const kddm::Completion& completion, uint64_t now);
  void OnChange(NodeId node, const kddm::Change& change, uint64_t now);
  // A write that began at `began` has been acknowledged.
  void OnCommit(const kddm::ObjectKey& key, uint64_t began, kddm::Version version);

  // What is wrong, once no message is under way; empty: nothing.
  std::string Judge() const;

 private:
  static constexpr kddm::OpId kFirst = 1ull << 62;
  struct Watch {
    NodeId node = 0;
    kddm::WatchRange range;
    bool begun = false;
    uint64_t since = 0;
    uint64_t told_all = 0;                             // when it was told that any may have changed
    std::map<kddm::ObjectId, kddm::Version> versions;  // that it was told of
  };
  struct Commit {
    kddm::ObjectKey key;
    uint64_t began = 0;
    kddm::Version version = 0;
  };

  void Begin(NodeId node);

  const Profile& profile_;
  base::Prng prng_;
  Scheduler& scheduler_;
  Cluster* cluster_ = nullptr;
  std::map<kddm::OpId, Watch> watches_;
  std::vector<Commit> commits_;
  kddm::OpId next_ = kFirst;
  std::string violation_;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_KDDM_WATCHING_H_
