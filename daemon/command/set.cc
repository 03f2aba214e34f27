// SPDX-License-Identifier: Apache-2.0
//
// `clustix set`: the object sets of the cluster, as this node's daemon knows them.
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "daemon/command/set_command.h"
#include "daemon/command/table.h"
#include "daemon/user_names.h"
#include "daemon/web/set_json.h"

namespace clustix::command {
namespace {

const std::map<std::string, Durability> kDurabilities = {{"volatile", Durability::kVolatile},
                                                         {"2", Durability::kReplicas2},
                                                         {"3", Durability::kReplicas3}};
const std::map<std::string, Placement> kPlacements = {
    {"hash", Placement::kHash}, {"creator", Placement::kCreator}, {"id-bits", Placement::kIdBits}};

// One of the names, which becomes its value.
template <typename Value>
CLI::Validator OneOf(const std::map<std::string, Value>& values) {
  return CLI::Validator(
      [&values](std::string& text) {
        const auto found = values.find(text);
        if (found != values.end()) {
          text = absl::StrCat(static_cast<int>(found->second));
          return std::string();
        }
        std::vector<std::string> names;
        for (const auto& [name, value] : values) names.push_back(name);
        return absl::StrCat("not one of ", absl::StrJoin(names, ", "), ": ", text);
      },
      "");
}

void PrintJson(const nlohmann::ordered_json& json) { std::fputs(web::Print(json).c_str(), stdout); }

// --- ls and stat -----------------------------------------------------------------------------

int RunList(const Context& context, const std::string& prefix, bool as_json) {
  Result<Client> client = ConnectToSets(context);
  if (!client) return Fail(client.error().message);
  Result<std::vector<SetInfo>> sets = client->ListSets(prefix);
  if (!sets) return Fail(sets.error().message);
  std::sort(sets->begin(), sets->end(),
            [](const SetInfo& a, const SetInfo& b) { return a.name < b.name; });
  if (as_json) {
    PrintJson(web::SetsToJson(*sets));
    return kExitOk;
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"NAME"},
               {"POLICY"},
               {"MODE"},
               {"OWNER"},
               {"OBJECTS HERE", kRight},
               {"HOME HERE", kRight},
               {"BYTES HERE", kRight},
               {"CLIENTS", kRight}});
  for (const SetInfo& set : *sets) {
    table.Add({set.name, web::DurabilityText(set.policy), web::ModeText(set.policy.mode),
               daemon::UserName(set.uid), std::to_string(set.objects), std::to_string(set.homed),
               FormatBytes(set.bytes), std::to_string(set.clients)});
  }
  std::fputs(table.Render().c_str(), stdout);
  return kExitOk;
}

int RunStat(const Context& context, const std::string& name, bool as_json) {
  Result<Client> client = ConnectToSets(context);
  if (!client) return Fail(client.error().message);
  Result<SetInfo> set = client->StatSet(name);
  if (!set) return FailOnSet(*client, name, set.error());
  if (as_json) {
    PrintJson(web::SetToJson(*set));
    return kExitOk;
  }
  const SetPolicy& policy = set->policy;
  Table table({{"SET"}, {set->name}});
  table.Add({"id", std::to_string(set->id)});
  table.Add({"policy", web::DurabilityText(policy)});
  table.Add({"placement", web::PlacementText(policy.placement)});
  table.Add({"owner", absl::StrCat(daemon::UserName(set->uid), ":", daemon::GroupName(set->gid),
                                   ", mode ", web::ModeText(policy.mode))});
  table.Add({"made on node", std::to_string(set->creator)});
  table.Add({"quota per node",
             policy.quota_bytes == 0 ? "the node's limit" : FormatBytes(policy.quota_bytes)});
  table.Add({"objects here", absl::StrCat(set->objects, ", ", set->readable, " of them readable, ",
                                          FormatBytes(set->bytes))});
  table.Add({"home here", std::to_string(set->homed)});
  table.Add({"clients here", std::to_string(set->clients)});
  for (const auto& [counter, value] : set->counters) table.Add({counter, std::to_string(value)});
  std::fputs(table.Render().c_str(), stdout);
  return kExitOk;
}

// --- create and destroy ----------------------------------------------------------------------

struct CreateArguments {
  std::string name, mode = "0600";
  SetOptions options{.create = true, .exclusive = true};
};

int RunCreate(const Context& context, CreateArguments arguments) {
  arguments.options.policy.mode =
      static_cast<uint16_t>(std::stoul(arguments.mode, nullptr, 8));  // checked when parsed
  if (!arguments.options.policy.linker.empty()) {
    arguments.options.policy.durability = Durability::kLinked;
    // Nobody may write those.
    arguments.options.write = arguments.options.policy.linker != "procfs";
  }
  Result<Client> client = ConnectToSets(context);
  if (!client) return Fail(client.error().message);
  Result<ObjectSet> set = client->OpenSet(arguments.name, arguments.options);
  return set ? kExitOk : FailOnSet(*client, arguments.name, set.error());
}

int RunDestroy(const Context& context, const std::string& name) {
  Result<Client> client = ConnectToSets(context);
  if (!client) return Fail(client.error().message);
  const std::optional<Error> error = client->RemoveSet(name);
  return error ? FailOnSet(*client, name, *error) : kExitOk;
}

// --- top -------------------------------------------------------------------------------------

struct SetTopArguments {
  std::string prefix;
  bool json = false, once = false;
  uint32_t interval_ms = 2000;
};

void PrintHot(const std::vector<HotObject>& hot) {
  constexpr auto kRight = Table::Align::kRight;
  Table table(
      {{"SET"}, {"OBJECT", kRight}, {"HOME", kRight}, {"MOVES/S", kRight}, {"WAITING", kRight}});
  for (const HotObject& object : hot) {
    table.Add({object.set, std::to_string(object.object), std::to_string(object.home),
               absl::StrFormat("%.1f", object.transfers_per_second),
               std::to_string(object.waiting)});
  }
  std::fputs(table.Render().c_str(), stdout);
  if (hot.empty()) std::puts("no object moves between writers");
}

int RunSetTop(const Context& context, const SetTopArguments& arguments) {
  Result<Client> client = ConnectToSets(context);
  if (!client) return Fail(client.error().message);
  const bool again = !arguments.once && !arguments.json && isatty(STDOUT_FILENO) == 1;
  for (;;) {
    Result<std::vector<HotObject>> hot = client->HotObjects(arguments.prefix);
    if (!hot) return Fail(hot.error().message);
    std::stable_sort(hot->begin(), hot->end(), [](const HotObject& a, const HotObject& b) {
      return a.transfers_per_second > b.transfers_per_second;
    });
    if (arguments.json) {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const HotObject& object : *hot) {
        list.push_back({{"set", object.set},
                        {"object", object.object},
                        {"home", object.home},
                        {"transfers_per_second", object.transfers_per_second},
                        {"waiting", object.waiting}});
      }
      PrintJson(list);
      return kExitOk;
    }
    if (again) std::fputs("\033[H\033[J", stdout);
    PrintHot(*hot);
    if (!again) return kExitOk;
    std::fflush(stdout);
    poll(nullptr, 0, static_cast<int>(arguments.interval_ms));
  }
}

// --- The command line ------------------------------------------------------------------------

void AddListCommands(CLI::App& set, Context& context) {
  struct Arguments {
    std::string name;
    bool json = false;
  };
  auto list = std::make_shared<Arguments>();
  CLI::App* ls = set.add_subcommand("ls", "List the sets, and what this node has of them");
  ls->add_option("prefix", list->name, "Only those whose names begin so");
  ls->add_flag("--json", list->json, "Print a list of objects");
  ls->callback([&context, list] {
    context.run = [&context, list] { return RunList(context, list->name, list->json); };
  });
  auto one = std::make_shared<Arguments>();
  CLI::App* stat = set.add_subcommand("stat", "Describe a set");
  stat->add_option("set", one->name, "Its name")->required();
  stat->add_flag("--json", one->json, "Print one object");
  stat->callback([&context, one] {
    context.run = [&context, one] { return RunStat(context, one->name, one->json); };
  });
}

void AddCreateCommand(CLI::App& set, Context& context) {
  auto arguments = std::make_shared<CreateArguments>();
  SetPolicy& policy = arguments->options.policy;
  CLI::App* create = set.add_subcommand("create", "Make a set");
  create->footer(
      "A name is namespace/name or deeper. Who may use a set is as with a file: r reads its\n"
      "objects, w writes them.\n"
      "Examples:\n"
      "  clustix set create shop/counters\n"
      "  clustix set create shop/cache --replicas volatile --mode 0666");
  create->add_option("set", arguments->name, "Its name")->required();
  create
      ->add_option("--replicas", policy.durability,
                   "How many nodes have each object (default: 2); volatile: gone with its node")
      ->type_name("N:{volatile,2,3}")
      ->transform(OneOf(kDurabilities));
  create
      ->add_option("--linker", policy.linker,
                   "What keeps the values instead: memory, file:PATH or procfs")
      ->type_name("LINKER")
      ->excludes("--replicas");
  create
      ->add_option("--placement", policy.placement,
                   "Which node keeps track of an object (default: hash)")
      ->type_name("WHERE:{hash,creator,id-bits}")
      ->transform(OneOf(kPlacements));
  const CLI::Validator octal(
      [](std::string& text) {
        const bool ok = !text.empty() && text.size() <= 4 &&
                        text.find_first_not_of("01234567") == std::string::npos &&
                        std::stoul(text, nullptr, 8) <= 0777;
        return ok ? std::string() : "not a mode: " + text + " (0 to 0777, as of chmod)";
      },
      "");
  create->add_option("--mode", arguments->mode, "Who may use it, as of chmod (default: 0600)")
      ->type_name("MODE")
      ->check(octal);
  create
      ->add_option("--quota", policy.quota_bytes,
                   "Of all its objects on one node: bytes, or with KiB, MiB, GiB behind")
      ->type_name("SIZE")
      ->transform(CLI::AsSizeValue(false).description(""));
  create->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunCreate(context, *arguments); };
  });
}

void AddTopOfSetsCommand(CLI::App& set, Context& context) {
  auto arguments = std::make_shared<SetTopArguments>();
  CLI::App* top = set.add_subcommand("top", "Show the objects for which nodes contend");
  top->add_option("prefix", arguments->prefix, "Only of sets whose names begin so");
  top->add_flag("--json", arguments->json, "Print a list of objects, once");
  top->add_flag("--once", arguments->once, "Print once also on a terminal");
  top->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunSetTop(context, *arguments); };
  });
}

void AddDestroyCommand(CLI::App& set, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App* destroy =
      set.add_subcommand("destroy", "Remove a set with all its objects, everywhere");
  destroy->add_option("set", *name, "Its name")->required();
  destroy->callback(
      [&context, name] { context.run = [&context, name] { return RunDestroy(context, *name); }; });
}

}  // namespace

void AddSetCommand(CLI::App& app, Context& context) {
  CLI::App* set = app.add_subcommand("set", "Look at and use the cluster's sets of objects");
  set->require_subcommand(1);
  AddListCommands(*set, context);
  AddCreateCommand(*set, context);
  AddObjectCommands(*set, context);
  AddTopOfSetsCommand(*set, context);
  AddDestroyCommand(*set, context);
}

}  // namespace clustix::command
