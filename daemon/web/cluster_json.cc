// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/cluster_json.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "lib/procview/node_figures.h"

namespace clustix::web {
namespace {

using nlohmann::json;

template <typename T>
json OrNull(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json ToJson(const procview::CpuSeconds& cpu) {
  return {{"user", cpu.user},       {"nice", cpu.nice},     {"system", cpu.system},
          {"idle", cpu.idle},       {"iowait", cpu.iowait}, {"irq", cpu.irq},
          {"softirq", cpu.softirq}, {"steal", cpu.steal}};
}

json ToJson(const proc::NodeSummary& summary) {
  const proc::NodeView& node = summary.view;
  const bool known = node.snapshot != nullptr;
  const procview::NodeFigures figures = procview::ReadNodeFigures(node.snapshot.get());
  return {{"node", node.node},
          {"name", node.name},
          {"address", node.address},
          {"state", node.state},
          {"stale", node.stale},
          {"known", known},
          {"age_ms", node.age_ms},
          {"hostname", known ? json(node.snapshot->hostname) : json(nullptr)},
          {"processes", known ? json(summary.process_count) : json(nullptr)},
          {"cpus", OrNull(figures.cpus)},
          {"cpu_seconds", figures.cpu ? ToJson(*figures.cpu) : json(nullptr)},
          {"uptime_s", OrNull(figures.uptime_s)},
          {"load_1min", OrNull(figures.load_1min)},
          {"memory_total_bytes", OrNull(figures.memory_total_bytes)},
          {"memory_available_bytes", OrNull(figures.memory_available_bytes)}};
}

json ToJson(const client::PeerStatus& peer) {
  json object = {{"node", peer.node},
                 {"name", peer.name},
                 {"address", peer.address},
                 {"state", peer.state},
                 {"incarnation", IncarnationText(peer.incarnation)}};
  for (const client::Counter& counter : peer.counters) object[counter.name] = counter.value;
  return object;
}

}  // namespace

std::string IncarnationText(uint64_t incarnation) {
  if (incarnation == 0) return "";
  char text[32];
  std::snprintf(text, sizeof(text), "%016" PRIx64, incarnation);
  return text;
}

GroupedCounters Group(const std::vector<client::Counter>& counters) {
  const std::string refused = "refused.";
  const std::string by_peer = "refused_by_peer.";
  GroupedCounters grouped;
  for (const client::Counter& counter : counters) {
    if (counter.name.starts_with(refused)) {
      grouped.refused[counter.name.substr(refused.size())] = counter.value;
    } else if (counter.name.starts_with(by_peer)) {
      grouped.refused_by_peer[counter.name.substr(by_peer.size())] = counter.value;
    } else {
      grouped.others[counter.name] = counter.value;
    }
  }
  return grouped;
}

std::map<std::string, uint64_t> BadInput(const GroupedCounters& counters) {
  constexpr std::array<std::string_view, 8> kEndings = {
      "bad_crc",   "bad_requests", "bad_replies",   "turned_away",
      "malformed", "no_such_port", "out_of_memory", "broken_regions"};
  std::map<std::string, uint64_t> bad;
  for (const auto& [name, value] : counters.others) {
    const bool is_bad =
        std::any_of(kEndings.begin(), kEndings.end(),
                    [&name = name](std::string_view ending) { return name.ends_with(ending); });
    if (is_bad) bad.emplace(name, value);
  }
  return bad;
}

json StatusToJson(const client::Status& status, const std::string& socket) {
  json peers = json::array();
  for (const client::PeerStatus& peer : status.peers) peers.push_back(ToJson(peer));
  const GroupedCounters grouped = Group(status.counters);
  return {{"node", status.node},
          {"name", status.name},
          {"address", status.address},
          {"cluster", {{"name", status.cluster_name}, {"uuid", status.cluster_uuid}}},
          {"incarnation", IncarnationText(status.incarnation)},
          {"version", status.version},
          {"pid", status.pid},
          {"uptime_s", static_cast<double>(status.uptime_ms) / 1000},
          {"socket", socket},
          {"transport", {{"name", status.transport_name}, {"reason", status.transport_reason}}},
          {"proc_mount", status.proc_mount.empty() ? json(nullptr) : json(status.proc_mount)},
          {"proc_watch", status.proc_watch},
          {"object_sets", {{"epoch", status.sets_epoch}, {"state", status.sets_state}}},
          {"proc_note", status.proc_note.empty() ? json(nullptr) : json(status.proc_note)},
          {"peers", peers},
          {"refused", grouped.refused},
          {"refused_by_peer", grouped.refused_by_peer},
          {"counters", grouped.others}};
}

json NodesToJson(const std::vector<proc::NodeSummary>& nodes) {
  json list = json::array();
  for (const proc::NodeSummary& node : nodes) list.push_back(ToJson(node));
  return list;
}

std::string Print(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace clustix::web
