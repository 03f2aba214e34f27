// SPDX-License-Identifier: Apache-2.0
//
// What peer programs print, read with suspicion: a peer that crashes half-way, or was built from
// other sources, must end in a clear error and not in a wrong figure. Pure; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_PEER_OUTPUT_H_
#define CLUSTIX_DAEMON_BENCH_PEER_OUTPUT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/bench/row.h"

namespace clustix::bench {

struct PeerDescription {
  std::string name;
  std::string title;
  std::vector<Mode> modes;
};

// All return kInvalidArgument with what is wrong.

// The line of `describe`.
absl::StatusOr<PeerDescription> ParseDescription(const std::string& line);
// The line of `serve`: "listening ADDRESS".
absl::StatusOr<std::string> ParseListening(std::string_view line);
// The line of `run`.
absl::StatusOr<Round> ParseRound(const std::string& line);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_PEER_OUTPUT_H_
