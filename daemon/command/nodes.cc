// SPDX-License-Identifier: Apache-2.0
//
// `clustix nodes`: the machines of the cluster and how they are doing.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/table.h"
#include "daemon/web/cluster_json.h"
#include "lib/procview/node_figures.h"

namespace clustix::command {
namespace {

using procview::NodeFigures;

std::string Memory(const NodeFigures& figures) {
  if (!figures.memory_total_bytes || !figures.memory_available_bytes) return "-";
  return FormatBytes(*figures.memory_available_bytes) + " of " +
         FormatBytes(*figures.memory_total_bytes);
}

std::string Note(const proc::NodeView& node) {
  if (node.snapshot == nullptr) return "never heard";
  if (node.stale) return "does not answer: figures of " + FormatDuration(node.age_ms) + " ago";
  return "";
}

void AddRow(Table& table, const proc::NodeSummary& summary) {
  const proc::NodeView& node = summary.view;
  const NodeFigures figures = procview::ReadNodeFigures(node.snapshot.get());
  char load[32] = "-";
  if (figures.load_1min) std::snprintf(load, sizeof(load), "%.2f", *figures.load_1min);
  table.Add(
      {std::to_string(node.node), node.name, node.address, node.state,
       node.snapshot != nullptr ? std::to_string(summary.process_count) : "-",
       figures.cpus ? std::to_string(*figures.cpus) : "-", load, Memory(figures),
       figures.uptime_s ? FormatDuration(static_cast<uint64_t>(*figures.uptime_s * 1000)) : "-",
       Note(node)});
}

int RunNodes(const Context& context, bool as_json) {
  absl::StatusOr<Connection> connection = ConnectToDaemon(context);
  if (!connection.ok()) return Fail(connection.status());
  absl::StatusOr<std::vector<proc::NodeSummary>> nodes = connection->client.GetNodes();
  if (!nodes.ok()) return Fail(nodes.status());
  if (as_json) {
    std::fputs(web::Print(web::NodesToJson(*nodes)).c_str(), stdout);
    return kExitOk;
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"NODE", kRight},
               {"NAME"},
               {"ADDRESS"},
               {"STATE"},
               {"PROCESSES", kRight},
               {"CPUS", kRight},
               {"LOAD", kRight},
               {"MEMORY FREE"},
               {"UP"},
               {""}});
  for (const proc::NodeSummary& node : *nodes) AddRow(table, node);
  std::fputs(table.Render().c_str(), stdout);
  return kExitOk;
}

}  // namespace

void AddNodesCommand(CLI::App& app, Context& context) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("nodes", "List the nodes and how they are doing");
  command->footer(
      "STATE: self; connecting, not heard since the daemon started; up; path-down, its connection "
      "broke and is dialled again; suspect, it is\n"
      "silent for longer than the tolerance (1.5 s); dead, for four times that. What is shown of "
      "a\n"
      "node that does not answer is from when somebody last looked.\n"
      "Examples:\n"
      "  clustix nodes\n"
      "  clustix nodes --json | jq -r '.[] | select(.stale) | .name'");
  command->add_flag("--json", *as_json, "Print a list of objects");
  command->callback([&context, as_json] {
    context.run = [&context, as_json] { return RunNodes(context, *as_json); };
  });
}

}  // namespace clustix::command
