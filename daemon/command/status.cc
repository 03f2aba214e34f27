// SPDX-License-Identifier: Apache-2.0
//
// `clustix status`: the daemon asked, its peers, and what it has turned away.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/table.h"
#include "daemon/web/cluster_json.h"

namespace clustix::command {
namespace {

using Counts = std::map<std::string, uint64_t>;

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
                     web::IncarnationText(status.incarnation));
  line("Socket", socket);
  line("Transport", status.transport_name == "kccm"
                        ? "kernel module kccm, " + status.transport_reason
                        : "user space: " + status.transport_reason);
  line("/proc", status.proc_mount.empty() ? "not mounted: " + status.proc_note
                                          : "mounted at " + status.proc_mount);
  line("Births", "watched by " + status.proc_watch);
  line("Sets", (status.sets_epoch == 0 ? "" : "view " + std::to_string(status.sets_epoch) + ", ") +
                   status.sets_state);
  PrintPeers(status);
  const web::GroupedCounters grouped = web::Group(status.counters);
  // What came in that was wrong, always shown, so that silence means none.
  line("Refused", NotZero(grouped.refused));
  line("Refused by", NotZero(grouped.refused_by_peer));
  line("Bad input", NotZero(web::BadInput(grouped)));
}

int RunStatus(const Context& context, bool as_json) {
  absl::StatusOr<Connection> connection = ConnectToDaemon(context);
  if (!connection.ok()) return Fail(connection.status());
  absl::StatusOr<client::Status> status = connection->client.GetStatus();
  if (!status.ok()) return Fail(status.status());
  if (as_json) {
    std::fputs(web::Print(web::StatusToJson(*status, connection->socket)).c_str(), stdout);
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
