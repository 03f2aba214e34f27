// SPDX-License-Identifier: Apache-2.0
//
// `clustix kmod`: what the kernel module says of the node that this network namespace is. Asks the
// module itself, so that it also works without a daemon.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/command/command.h"
#include "daemon/command/table.h"
#include "daemon/transport.h"
#include "daemon/web/cluster_json.h"
#include "lib/base/status.h"
#include "lib/base/uuid.h"
#include "lib/msg/kccm_netlink.h"

namespace clustix::command {
namespace {

using msg::KccmLaneQueue;
using msg::KccmNetlink;
using msg::KccmNode;
using msg::KccmPeer;
using msg::KccmQueues;
using nlohmann::json;
using Counters = std::vector<MessengerCounter>;

const char* LaneName(uint8_t lane) { return lane == 0 ? "control" : "bulk"; }

json ToJson(const Counters& counters) {
  json object = json::object();
  for (const MessengerCounter& counter : counters) object[counter.name] = counter.value;
  return object;
}

int PrintJson(const json& what) {
  std::fputs(web::Print(what).c_str(), stdout);
  return kExitOk;
}

// What each of the commands below is given.
struct Asked {
  KccmNode node;
  std::vector<KccmPeer> peers;
};

absl::StatusOr<Asked> Ask(KccmNetlink& module) {
  Asked asked;
  ASSIGN_OR_RETURN(asked.node, module.Node());
  ASSIGN_OR_RETURN(asked.peers, module.Peers());
  return asked;
}

// --- status

json NodeToJson(const Asked& asked) {
  return {{"node", asked.node.node},
          {"cluster", base::FormatUuid(asked.node.cluster)},
          {"address", asked.node.address},
          {"incarnation", web::IncarnationText(asked.node.incarnation)},
          {"protocol", asked.node.protocol},
          {"peers", asked.peers.size()}};
}

int Status(KccmNetlink& module, bool as_json) {
  const absl::StatusOr<Asked> asked = Ask(module);
  const bool no_node = absl::IsNotFound(asked.status());
  if (!asked.ok() && !no_node) return Fail(asked.status());
  if (as_json) {
    return PrintJson({{"loaded", true}, {"node", no_node ? json(nullptr) : NodeToJson(*asked)}});
  }
  const auto line = [](const char* label, const std::string& text) {
    std::printf("%-12s %s\n", label, text.c_str());
  };
  line("Module", "kccm is loaded");
  if (no_node) {
    line("Node", "none: this network namespace is not one (clustixd makes it one)");
    return kExitOk;
  }
  const KccmNode& node = asked->node;
  line("Node", absl::StrCat(node.node, ", ", node.address));
  line("Cluster", base::FormatUuid(node.cluster));
  line("Incarnation", web::IncarnationText(node.incarnation));
  line("Protocol", std::to_string(node.protocol));
  const auto up = std::count_if(asked->peers.begin(), asked->peers.end(),
                                [](const KccmPeer& peer) { return peer.state == PeerState::kUp; });
  line("Peers", absl::StrCat(up, " of ", asked->peers.size(), " up"));
  return kExitOk;
}

// --- peers

int Peers(KccmNetlink& module, bool as_json) {
  const absl::StatusOr<Asked> asked = Ask(module);
  if (!asked.ok()) return Fail(asked.status());
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"NODE", kRight},
               {"ADDRESS"},
               {"STATE"},
               {"INCARNATION"},
               {"SENT", kRight},
               {"RECEIVED", kRight},
               {"QUEUED", kRight},
               {"CONNECTS", kRight},
               {"REBOOTS", kRight}});
  json list = json::array();
  for (const KccmPeer& peer : asked->peers) {
    const auto count = [&](const char* name) {
      return std::to_string(msg::CounterNamed(peer.counters, name));
    };
    const std::string incarnation = web::IncarnationText(peer.incarnation);
    table.Add({std::to_string(peer.node), peer.address, PeerStateName(peer.state),
               incarnation.empty() ? "-" : incarnation, count("messages_sent"),
               count("messages_received"), count("queued_messages"), count("connects"),
               count("reboots")});
    list.push_back({{"node", peer.node},
                    {"address", peer.address},
                    {"state", PeerStateName(peer.state)},
                    {"incarnation", incarnation},
                    {"counters", ToJson(peer.counters)}});
  }
  if (as_json) return PrintJson(list);
  std::printf("%s", table.Render().c_str());
  return kExitOk;
}

// --- stats

void AddCounters(Table& table, const std::string& who, const Counters& counters) {
  for (const MessengerCounter& counter : counters) {
    if (counter.value != 0) table.Add({who, counter.name, std::to_string(counter.value)});
  }
}

int Stats(KccmNetlink& module, bool as_json) {
  const absl::StatusOr<Asked> asked = Ask(module);
  if (!asked.ok()) return Fail(asked.status());
  if (as_json) {
    json peers = json::array();
    for (const KccmPeer& peer : asked->peers) {
      peers.push_back({{"node", peer.node}, {"counters", ToJson(peer.counters)}});
    }
    return PrintJson({{"counters", ToJson(asked->node.counters)}, {"peers", peers}});
  }
  Table table({{"PEER"}, {"COUNTER"}, {"VALUE", Table::Align::kRight}});
  AddCounters(table, "-", asked->node.counters);
  for (const KccmPeer& peer : asked->peers) {
    AddCounters(table, std::to_string(peer.node), peer.counters);
  }
  std::printf("%s", table.Render().c_str());
  return kExitOk;
}

// --- queue

int Queue(KccmNetlink& module, bool as_json) {
  if (const absl::StatusOr<KccmNode> node = module.Node(); !node.ok()) return Fail(node.status());
  const absl::StatusOr<std::vector<KccmQueues>> queues = module.Queues();
  if (!queues.ok()) return Fail(queues.status());
  const std::pair<const char*, const char*> kColumns[] = {
      {"CONNECTED", "connected"},
      {"MEMORY_BYTES", "queue_memory_bytes"},
      {"QUEUED_TOTAL", "queued_messages_total"},
      {"WRITTEN_TOTAL", "written_messages_total"},
      {"ACCEPTED_TOTAL", "accepted_messages_total"},
      {"GRANTED_TOTAL", "granted_messages_total"},
      {"GRANTED_BYTES_TOTAL", "granted_bytes_total"},
      {"RECEIVED_TOTAL", "received_messages_total"},
      {"CONSUMED_TOTAL", "consumed_messages_total"},
      {"WAITING", "waiting_messages"},
      {"ANSWER_BYTES", "unanswered_bytes"},
      {"HELD_UP", "held_up"}};
  std::vector<Table::Column> columns = {
      {"PEER", Table::Align::kRight}, {"LANE"}, {"UNACCEPTED", Table::Align::kRight}};
  for (const auto& [header, counter] : kColumns) {
    columns.push_back({header, Table::Align::kRight});
  }
  Table table(columns);
  json list = json::array();
  for (const KccmQueues& peer : *queues) {
    for (const KccmLaneQueue& lane : peer.lanes) {
      const auto count = [&](const char* name) { return msg::CounterNamed(lane.counters, name); };
      const uint64_t unaccepted = count("queued_messages_total") - count("accepted_messages_total");
      std::vector<std::string> cells = {std::to_string(peer.node), LaneName(lane.lane),
                                        std::to_string(unaccepted)};
      for (const auto& [header, counter] : kColumns) {
        cells.push_back(std::to_string(count(counter)));
      }
      table.Add(std::move(cells));
      json object = ToJson(lane.counters);
      object["node"] = peer.node;
      object["lane"] = LaneName(lane.lane);
      list.push_back(std::move(object));
    }
  }
  if (as_json) return PrintJson(list);
  std::printf("%s", table.Render().c_str());
  return kExitOk;
}

// --- the command line

using Run = int (*)(KccmNetlink& module, bool as_json);

void AddSubcommand(CLI::App& kmod, Context& context, const char* name, const char* description,
                   const char* json_help, Run run) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App* command = kmod.add_subcommand(name, description);
  command->add_flag("--json", *as_json, json_help);
  command->callback([&context, as_json, run] {
    context.run = [as_json, run] {
      absl::StatusOr<KccmNetlink> module = KccmNetlink::Open();
      if (module.ok()) return run(*module, *as_json);
      const std::string why = daemon::WhyNoModule();
      return Fail(absl::IsNotFound(module.status()) && !why.empty()
                      ? absl::NotFoundError(base::ToAbsl(why))
                      : module.status());
    };
  });
}

}  // namespace

void AddKmodCommand(CLI::App& app, Context& context) {
  CLI::App* kmod = app.add_subcommand(
      "kmod", "Show what the kernel module kccm knows of this network namespace's node");
  kmod->require_subcommand(1);
  kmod->footer(
      "Asks the module itself, with the capability CAP_NET_ADMIN; no daemon is needed. Without "
      "the\n"
      "module, or where there is no node, it fails; only status also tells that there is none.\n"
      "Examples:\n"
      "  clustix kmod status\n"
      "  clustix kmod stats --json | jq .counters\n"
      "  ip netns exec blue clustix kmod queue");
  AddSubcommand(*kmod, context, "status", "Which node of which cluster this is", "Print one object",
                Status);
  AddSubcommand(*kmod, context, "peers", "The other nodes and how they are",
                "Print a list of objects", Peers);
  AddSubcommand(*kmod, context, "stats", "What has been counted and is not 0",
                "Print one object, with all counters", Stats);
  AddSubcommand(*kmod, context, "queue", "What is under way in each lane to each peer",
                "Print a list of objects", Queue);
}

}  // namespace clustix::command
