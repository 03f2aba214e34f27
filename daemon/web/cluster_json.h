// SPDX-License-Identifier: Apache-2.0
//
// What a daemon says of its cluster, as JSON: the --json of the commands, and what the web page
// reads. Pure functions, from any thread.
#ifndef CLUSTIX_DAEMON_WEB_CLUSTER_JSON_H_
#define CLUSTIX_DAEMON_WEB_CLUSTER_JSON_H_

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lib/client/client.h"
#include "lib/proc/snapshot.h"

namespace clustix::web {

// 16 hexadecimal digits, because JSON readers keep only 53 bits of a number; empty for 0.
std::string IncarnationText(uint64_t incarnation);

// The daemon's counters by what they are about.
struct GroupedCounters {
  std::map<std::string, uint64_t> refused;          // by this node
  std::map<std::string, uint64_t> refused_by_peer;  // of this node
  std::map<std::string, uint64_t> others;
};
GroupedCounters Group(const std::vector<client::Counter>& counters);

// Those of the others that are 0 while everybody sends what they should, and there is memory.
std::map<std::string, uint64_t> BadInput(const GroupedCounters& counters);

// `socket`: where the daemon was asked.
nlohmann::json StatusToJson(const client::Status& status, const std::string& socket);
nlohmann::json NodesToJson(const std::vector<proc::NodeSummary>& nodes);

// On several lines. Bytes that are no UTF-8 are replaced.
std::string Print(const nlohmann::json& value);

}  // namespace clustix::web

#endif  // CLUSTIX_DAEMON_WEB_CLUSTER_JSON_H_
