// SPDX-License-Identifier: Apache-2.0
//
// Two nodes of this process with journaled objects, a nursery for programs of theirs, and a look at
// what these have left behind. The test's thread.
#ifndef CLUSTIX_TESTS_UNIT_OBJECTS_JOURNALED_CLUSTER_H_
#define CLUSTIX_TESTS_UNIT_OBJECTS_JOURNALED_CLUSTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tests/unit/objects/journal.h"
#include "tests/unit/objects/loopback.h"
#include "tests/unit/objects/nursery.h"

namespace clustix {

// How often a test kills a program: $CLUSTIX_CLIENT_KILLS, or 1000, or 250 with sanitizers. The
// whole
// ./check asks for 10,000.
uint64_t ProgramsToKill();

class JournaledCluster : public LoopbackCluster {
 protected:
  static constexpr std::array<NodeId, 2> kNodes = {1, 2};

  // First thing of a test: the nursery is made before there are threads.
  void Start(const Nursery::Life& life);
  // No program is there any more but the checkers; no object is torn, lost or held, and the daemons
  // have back all that they gave to programs.
  void ExpectIntact();
  // Of this or that node.
  const std::string& AnySocket(base::Prng& prng) const {
    return sockets_[prng.Below(kNodes.size())];
  }
  uint64_t Acknowledged();
  uint64_t Sum(const std::string& counter);

  Journal journal_;
  std::optional<Nursery> nursery_;

 private:
  // What this process has of its nodes' programs.
  struct Belongings {
    size_t descriptors = 0, regions = 0;
  };
  static Belongings Count();
  void MakeObjects();
  void AwaitGone();

  std::array<std::string, kNodes.size()> sockets_;
  std::array<std::optional<RandomProgram>, kNodes.size()> checkers_;
  Belongings before_;
};

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_OBJECTS_JOURNALED_CLUSTER_H_
