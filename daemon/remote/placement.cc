// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/placement.h"

#include <optional>
#include <tuple>

#include "lib/procview/node_figures.h"

namespace clustix::remote {

absl::StatusOr<Placement> LeastLoaded(const std::vector<proc::NodeSummary>& nodes) {
  std::optional<Placement> best;
  std::tuple<double, bool, uint16_t> best_key;
  for (const proc::NodeSummary& summary : nodes) {
    const proc::NodeView& view = summary.view;
    const bool self = view.state == "self";
    if (view.stale || view.snapshot == nullptr || !(self || view.state == "up")) continue;
    const procview::NodeFigures figures = procview::ReadNodeFigures(view.snapshot.get());
    if (!figures.load_1min || figures.cpus.value_or(0) == 0) continue;
    const double load = *figures.load_1min / static_cast<double>(*figures.cpus);
    const std::tuple<double, bool, uint16_t> key(load, !self, view.node);
    if (best && best_key <= key) continue;
    best = Placement{.node = view.node, .name = view.name, .load_per_cpu = load};
    best_key = key;
  }
  if (best) return *best;
  return absl::UnavailableError("no node tells its load (clustix nodes shows how they are)");
}

}  // namespace clustix::remote
