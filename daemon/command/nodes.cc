// SPDX-License-Identifier: Apache-2.0
//
// `clustix nodes`: the machines of the cluster and how they are doing.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/table.h"
#include "lib/procview/node_files.h"

namespace clustix::command {
namespace {

using nlohmann::json;

// What is shown of a node's files; empty where a file could not be read.
struct Figures {
  std::optional<size_t> cpus;
  std::optional<double> uptime_s, load_1min;
  std::optional<uint64_t> memory_total_bytes, memory_available_bytes;
};

Figures ReadFigures(const proc::NodeView& node) {
  Figures figures;
  if (node.snapshot == nullptr) return figures;
  const proc::NodeSnapshot& files = *node.snapshot;
  if (auto stat = procview::ParseNodeStat(files.stat); stat.ok()) {
    figures.cpus = stat->each_cpu.size();
  }
  if (auto uptime = procview::ParseUptime(files.uptime); uptime.ok()) {
    figures.uptime_s = uptime->up_s;
  }
  if (auto load = procview::ParseLoadAverage(files.loadavg); load.ok()) {
    figures.load_1min = load->load[0];
  }
  auto meminfo = procview::ParseFigures(files.meminfo);
  if (!meminfo.ok()) return figures;
  for (const procview::Figure& figure : *meminfo) {
    uint64_t bytes = figure.value * 1024;
    if (figure.key == "MemTotal") figures.memory_total_bytes = bytes;
    if (figure.key == "MemAvailable") figures.memory_available_bytes = bytes;
  }
  return figures;
}

template <typename T>
json OrNull(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json ToJson(const proc::NodeSummary& summary) {
  const proc::NodeView& node = summary.view;
  const bool known = node.snapshot != nullptr;
  json object = {{"node", node.node},    {"name", node.name},   {"address", node.address},
                 {"state", node.state},  {"stale", node.stale}, {"known", known},
                 {"age_ms", node.age_ms}};
  Figures figures = ReadFigures(node);
  object["hostname"] = known ? json(node.snapshot->hostname) : json(nullptr);
  object["processes"] = known ? json(summary.process_count) : json(nullptr);
  object["cpus"] = OrNull(figures.cpus);
  object["uptime_s"] = OrNull(figures.uptime_s);
  object["load_1min"] = OrNull(figures.load_1min);
  object["memory_total_bytes"] = OrNull(figures.memory_total_bytes);
  object["memory_available_bytes"] = OrNull(figures.memory_available_bytes);
  return object;
}

std::string Memory(const Figures& figures) {
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
  Figures figures = ReadFigures(node);
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
    json list = json::array();
    for (const proc::NodeSummary& node : *nodes) list.push_back(ToJson(node));
    std::printf("%s\n", list.dump(2, ' ', false, json::error_handler_t::replace).c_str());
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
      "STATE: self; up; path-down, its connection broke and is dialled again; suspect, it is\n"
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
