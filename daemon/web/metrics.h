// SPDX-License-Identifier: Apache-2.0
//
// The cluster in Prometheus' text format (version 0.0.4). Pure functions, from any thread.
#ifndef CLUSTIX_DAEMON_WEB_METRICS_H_
#define CLUSTIX_DAEMON_WEB_METRICS_H_

#include <string>
#include <vector>

#include "clustix/sets.h"
#include "lib/client/client.h"
#include "lib/proc/snapshot.h"

namespace clustix::web {

// What one daemon says of itself, its peers, all nodes, and what its node has of the sets. Names
// begin with clustix_; figures of a node that was never heard are left out.
std::string MetricsText(const client::Status& status, const std::vector<proc::NodeSummary>& nodes,
                        const std::vector<SetInfo>& sets);

}  // namespace clustix::web

#endif  // CLUSTIX_DAEMON_WEB_METRICS_H_
