// SPDX-License-Identifier: Apache-2.0
//
// `clustix status`: the daemon asked, its peers, and what it has turned away.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/table.h"

namespace clustix::command {
namespace {

using nlohmann::json;

// As text: JSON readers keep only 53 bits of a number.
std::string Incarnation(uint64_t incarnation) {
  if (incarnation == 0) return "";
  char text[32];
  std::snprintf(text, sizeof(text), "%016" PRIx64, incarnation);
  return text;
}

using Counts = std::map<std::string, uint64_t>;

// The daemon's counters by what they are about.
struct Grouped {
  Counts refused;          // by this node
  Counts refused_by_peer;  // of this node
  Counts others;
};

Grouped Group(const std::vector<client::Counter>& counters) {
  const std::string refused = "refused.";
  const std::string by_peer = "refused_by_peer.";
  Grouped grouped;
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

json ToJson(const client::Status& status, const std::string& socket) {
  json peers = json::array();
  for (const client::PeerStatus& peer : status.peers) {
    json object = {{"node", peer.node},
                   {"name", peer.name},
                   {"address", peer.address},
                   {"state", peer.state},
                   {"incarnation", Incarnation(peer.incarnation)}};
    for (const client::Counter& counter : peer.counters) object[counter.name] = counter.value;
    peers.push_back(object);
  }
  Grouped grouped = Group(status.counters);
  return {{"node", status.node},
          {"name", status.name},
          {"address", status.address},
          {"cluster", {{"name", status.cluster_name}, {"uuid", status.cluster_uuid}}},
          {"incarnation", Incarnation(status.incarnation)},
          {"version", status.version},
          {"pid", status.pid},
          {"uptime_s", static_cast<double>(status.uptime_ms) / 1000},
          {"socket", socket},
          {"transport", {{"name", status.transport_name}, {"reason", status.transport_reason}}},
          {"proc_mount", status.proc_mount.empty() ? json(nullptr) : json(status.proc_mount)},
          {"proc_note", status.proc_note.empty() ? json(nullptr) : json(status.proc_note)},
          {"peers", peers},
          {"refused", grouped.refused},
          {"refused_by_peer", grouped.refused_by_peer},
          {"counters", grouped.others}};
}

// "proof 3, cluster 1", or "none".
std::string NotZero(const Counts& counts) {
  std::string text;
  for (const auto& [name, value] : counts) {
    if (value == 0) continue;
    text += (text.empty() ? "" : ", ") + name + " " + std::to_string(value);
  }
  return text.empty() ? "none" : text;
}

void PrintPeers(const client::Status& status) {
  auto up = std::count_if(status.peers.begin(), status.peers.end(),
                          [](const client::PeerStatus& peer) { return peer.state == "up"; });
  std::printf("%-10s %zd of %zu up\n", "Peers", up, status.peers.size());
  if (status.peers.empty()) return;
  constexpr auto kRight = Table::Align::kRight;
  const std::pair<const char*, const char*> kColumns[] = {
      {"SENT", "messages_sent"},      {"RECEIVED", "messages_received"},
      {"QUEUED", "queued_messages"},  {"RESENT", "resent"},
      {"DUPLICATE", "duplicates"},    {"CONNECTS", "connects"},
      {"DISCONNECTS", "disconnects"}, {"REBOOTS", "reboots"},
      {"UNKNOWN", "outcomes_unknown"}};
  std::vector<Table::Column> columns = {{"NODE", kRight}, {"NAME"}, {"ADDRESS"}, {"STATE"}};
  for (const auto& [header, counter] : kColumns) columns.push_back({header, kRight});
  Table table(columns);
  for (const client::PeerStatus& peer : status.peers) {
    std::vector<std::string> cells = {std::to_string(peer.node), peer.name, peer.address,
                                      peer.state};
    for (const auto& [header, name] : kColumns) {
      auto counter =
          std::find_if(peer.counters.begin(), peer.counters.end(),
                       [wanted = name](const client::Counter& c) { return c.name == wanted; });
      cells.push_back(counter == peer.counters.end() ? "-" : std::to_string(counter->value));
    }
    table.Add(cells);
  }
  std::printf("\n%s\n", table.Render().c_str());
}

void Print(const client::Status& status, const std::string& socket) {
  auto line = [](const char* label, const std::string& text) {
    std::printf("%-10s %s\n", label, text.c_str());
  };
  line("Cluster", status.cluster_name + " (" + status.cluster_uuid + ")");
  line("Node", std::to_string(status.node) + " " + status.name + ", " + status.address);
  line("Daemon", "clustixd " + status.version + ", pid " + std::to_string(status.pid) + ", up " +
                     FormatDuration(status.uptime_ms) + ", incarnation " +
                     Incarnation(status.incarnation));
  line("Socket", socket);
  line("Transport", status.transport_name == "kccm"
                        ? "kernel module kccm, " + status.transport_reason
                        : "user space: " + status.transport_reason);
  line("/proc", status.proc_mount.empty() ? "not mounted: " + status.proc_note
                                          : "mounted at " + status.proc_mount);
  PrintPeers(status);
  Grouped grouped = Group(status.counters);
  // What came in that was wrong, always shown, so that silence means none.
  line("Refused", NotZero(grouped.refused));
  line("Refused by", NotZero(grouped.refused_by_peer));
  Counts bad = grouped.others;
  bad.erase("accepted");
  line("Bad input", NotZero(bad));
}

int RunStatus(const Context& context, bool as_json) {
  absl::StatusOr<Connection> connection = ConnectToDaemon(context);
  if (!connection.ok()) return Fail(connection.status());
  absl::StatusOr<client::Status> status = connection->client.GetStatus();
  if (!status.ok()) return Fail(status.status());
  if (as_json) {
    std::string text =
        ToJson(*status, connection->socket).dump(2, ' ', false, json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
  } else {
    Print(*status, connection->socket);
  }
  return kExitOk;
}

}  // namespace

void AddStatusCommand(CLI::App& app, Context& context) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("status", "Show the daemon, its peers and what it has turned away");
  command->footer(
      "Refused: connections turned away here, by reason (proof: another cluster key; cluster:\n"
      "another uuid; unknown: a node that is not configured; clone: the id of a live node;\n"
      "timeout: a handshake that was not finished, as by a node that is stopped; ...).\n"
      "Examples:\n"
      "  clustix status\n"
      "  clustix --socket /run/clustix/node2/clustixd.sock status\n"
      "  clustix status --json | jq .refused");
  command->add_flag("--json", *as_json, "Print one object");
  command->callback([&context, as_json] {
    context.run = [&context, as_json] { return RunStatus(context, *as_json); };
  });
}

}  // namespace clustix::command
