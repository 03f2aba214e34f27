// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "daemon/web/cluster_json.h"
#include "lib/procview/node_figures.h"

namespace clustix::web {
namespace {

// Of the counters of a peer and of the daemon, those that also go down.
constexpr std::array<std::string_view, 2> kPeerGauges = {"queued_messages", "queue_memory_bytes"};
constexpr std::array<std::string_view, 14> kDaemonGauges = {
    "exec_tunnels",       "exec_waiting_bytes", "sets_in_service",   "sets_epoch",
    "sets_nodes_out",     "sets_programs",      "sets_operations",   "sets_objects_held",
    "sets_objects_homed", "sets_value_bytes",   "sets_shared_bytes", "sets_messages_waiting",
    "sets_watches_told",  "sets_lent"};

using Labels = std::vector<std::pair<const char*, std::string>>;

class Writer {
 public:
  // Of all samples that follow, up to the next family.
  void Family(std::string name, const char* type, std::string_view help) {
    name_ = std::move(name);
    absl::StrAppend(&text_, "# HELP ", name_, " ", absl::string_view(help.data(), help.size()),
                    "\n# TYPE ", name_, " ", type, "\n");
  }
  // As short as reads back the same.
  template <typename Number>
  void Sample(const Labels& labels, Number value) {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    absl::StrAppend(&text_, name_);
    const char* separator = "{";
    for (const auto& [label, text] : labels) {
      absl::StrAppend(&text_, separator, label, "=\"",
                      absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                      "\"");
      separator = ",";
    }
    absl::StrAppend(&text_, labels.empty() ? "" : "}", " ",
                    absl::string_view(digits.data(), end - digits.data()), "\n");
  }
  // Of what is one of `gauges`, or else a counter.
  void Family(const char* prefix, const std::string& name, std::span<const std::string_view> gauges,
              std::string_view help) {
    const bool gauge = std::find(gauges.begin(), gauges.end(), name) != gauges.end();
    Family(absl::StrCat(prefix, name, gauge ? "" : "_total"), gauge ? "gauge" : "counter", help);
  }
  // One sample per entry.
  void Reasons(std::string name, std::string_view help,
               const std::map<std::string, uint64_t>& counts) {
    Family(std::move(name), "counter", help);
    for (const auto& [reason, count] : counts) Sample({{"reason", reason}}, count);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string name_, text_;
};

Labels LabelsOf(uint16_t node, const std::string& name) {
  return {{"node", std::to_string(node)}, {"name", name}};
}

bool IsHere(const proc::NodeView& node) { return node.state == "self" || node.state == "up"; }

void WriteNodes(Writer& writer, const std::vector<proc::NodeSummary>& nodes) {
  writer.Family("clustix_node_up", "gauge", "Whether the node is this one or answers it.");
  for (const auto& node : nodes) {
    writer.Sample(LabelsOf(node.view.node, node.view.name), IsHere(node.view) ? 1 : 0);
  }
  std::vector<std::pair<Labels, procview::NodeFigures>> known;
  writer.Family("clustix_node_age_seconds", "gauge", "How old the figures of the node are.");
  for (const auto& node : nodes) {
    if (node.view.snapshot == nullptr) continue;
    known.emplace_back(LabelsOf(node.view.node, node.view.name),
                       procview::ReadNodeFigures(node.view.snapshot.get()));
    writer.Sample(known.back().first, static_cast<double>(node.view.age_ms) / 1000);
  }
  writer.Family("clustix_node_processes", "gauge", "Processes of the node.");
  for (const auto& node : nodes) {
    if (node.view.snapshot == nullptr) continue;
    writer.Sample(LabelsOf(node.view.node, node.view.name), node.process_count);
  }
  const auto each = [&](const char* name, const char* help, auto figure) {
    writer.Family(name, "gauge", help);
    for (const auto& [labels, figures] : known) {
      if (const auto& value = figures.*figure) writer.Sample(labels, *value);
    }
  };
  using Figures = procview::NodeFigures;
  each("clustix_node_cpus", "Processors of the node.", &Figures::cpus);
  each("clustix_node_load1", "Load of the node over one minute.", &Figures::load_1min);
  each("clustix_node_uptime_seconds", "Since the node has booted.", &Figures::uptime_s);
  each("clustix_node_memory_total_bytes", "Memory of the node.", &Figures::memory_total_bytes);
  each("clustix_node_memory_available_bytes", "Memory that programs could still be given.",
       &Figures::memory_available_bytes);

  writer.Family("clustix_node_cpu_seconds_total", "counter",
                "What the node's processors have done since it has booted.");
  for (const auto& [labels, figures] : known) {
    if (!figures.cpu) continue;
    const procview::CpuSeconds& cpu = *figures.cpu;
    const std::pair<const char*, double> modes[] = {
        {"user", cpu.user},     {"nice", cpu.nice}, {"system", cpu.system},   {"idle", cpu.idle},
        {"iowait", cpu.iowait}, {"irq", cpu.irq},   {"softirq", cpu.softirq}, {"steal", cpu.steal}};
    for (const auto& [mode, seconds] : modes) {
      Labels with_mode = labels;
      with_mode.emplace_back("mode", mode);
      writer.Sample(with_mode, seconds);
    }
  }
}

std::optional<uint64_t> ValueOf(const std::vector<client::Counter>& counters,
                                const std::string& name) {
  for (const client::Counter& counter : counters) {
    if (counter.name == name) return counter.value;
  }
  return std::nullopt;
}

void WritePeers(Writer& writer, const std::vector<client::PeerStatus>& peers) {
  writer.Family("clustix_peer_up", "gauge",
                "Whether messages pass between this node and the peer.");
  for (const client::PeerStatus& peer : peers) {
    writer.Sample(LabelsOf(peer.node, peer.name), peer.state == "up" ? 1 : 0);
  }
  std::set<std::string> names;
  for (const client::PeerStatus& peer : peers) {
    for (const client::Counter& counter : peer.counters) names.insert(counter.name);
  }
  for (const std::string& name : names) {
    writer.Family("clustix_peer_", name, kPeerGauges,
                  "Messaging with the peer; as in clustix status.");
    for (const client::PeerStatus& peer : peers) {
      if (const auto value = ValueOf(peer.counters, name)) {
        writer.Sample(LabelsOf(peer.node, peer.name), *value);
      }
    }
  }
}

void WriteSets(Writer& writer, const std::vector<SetInfo>& sets) {
  const auto each = [&](const char* name, const char* help, auto figure) {
    writer.Family(name, "gauge", help);
    for (const SetInfo& set : sets) writer.Sample({{"set", set.name}}, set.*figure);
  };
  each("clustix_set_objects", "Objects of the set that this node holds.", &SetInfo::objects);
  each("clustix_set_readable_objects", "Of these, in reach without asking other nodes.",
       &SetInfo::readable);
  each("clustix_set_home_objects", "Objects of the set that this node keeps track of.",
       &SetInfo::homed);
  each("clustix_set_bytes", "Values of the set that this node holds.", &SetInfo::bytes);
  each("clustix_set_clients", "Programs on this node that have the set open.", &SetInfo::clients);
}

}  // namespace

std::string MetricsText(const client::Status& status, const std::vector<proc::NodeSummary>& nodes,
                        const std::vector<SetInfo>& sets) {
  Writer writer;
  writer.Family("clustix_info", "gauge", "The daemon that was asked.");
  writer.Sample({{"version", status.version},
                 {"cluster", status.cluster_name},
                 {"node", std::to_string(status.node)},
                 {"transport", status.transport_name}},
                1);
  writer.Family("clustix_daemon_uptime_seconds", "gauge", "Since the daemon was started.");
  writer.Sample({}, static_cast<double>(status.uptime_ms) / 1000);
  WriteNodes(writer, nodes);
  WritePeers(writer, status.peers);
  WriteSets(writer, sets);
  const GroupedCounters grouped = Group(status.counters);
  writer.Reasons("clustix_refused_connections_total", "Connections that this node refused.",
                 grouped.refused);
  writer.Reasons("clustix_refused_by_peer_total", "Connections of this node that others refused.",
                 grouped.refused_by_peer);
  for (const auto& [name, value] : grouped.others) {
    writer.Family("clustix_daemon_", name, kDaemonGauges,
                  "What the daemon counts; as in clustix status --json.");
    writer.Sample({}, value);
  }
  return writer.Take();
}

}  // namespace clustix::web
