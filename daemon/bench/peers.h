// SPDX-License-Identifier: Apache-2.0
//
// The peers of `clustix bench msg`: which there are, which are built, and how to get the others.
#ifndef CLUSTIX_DAEMON_BENCH_PEERS_H_
#define CLUSTIX_DAEMON_BENCH_PEERS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/bench/peer_output.h"

namespace clustix::bench {

struct KnownPeer {
  std::string_view name;
  std::string_view title;
  bool by_default;            // built by every build, and measured without being asked for
  std::string_view packages;  // Debian's, that the build needs for it
  // A module of the kernel is what is measured: in virtual machines alone, where it can be loaded.
  bool of_the_kernel = false;
  bool by_node = false;  // its servers are found by the node's id
};

// In the order in which they are measured and listed.
const std::vector<KnownPeer>& KnownPeers();

// One that is there.
struct BuiltPeer {
  PeerDescription description;
  std::string program;  // its path
  bool by_node = false;
};

// Where a program for `clustix` alone is, or would be: in ../libexec/clustix beside it.
std::string ProgramBeside(std::string_view name);
std::string ProgramOfPeer(std::string_view name);
bool IsBuilt(const KnownPeer& peer);
// "grpc is not built: it is made of ... (run: ./up --bench-peers; or for this one: apt-get install
// ...)"
std::string HowToBuild(const KnownPeer& peer);

struct ChosenPeers {
  std::vector<BuiltPeer> peers;
  std::vector<const KnownPeer*> not_built;  // that "all" left out
};

// `choice`: "default", "all", or names with commas between them. kInvalidArgument for a name that
// is none; kFailedPrecondition for a peer asked for that is not built, or wants machines. By
// default `in_machines`, all that have something to tell there. Runs each with `describe`.
absl::StatusOr<ChosenPeers> ChoosePeers(const std::string& choice, bool in_machines);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_PEERS_H_
