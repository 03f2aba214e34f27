// SPDX-License-Identifier: Apache-2.0
//
// `clustix ps`: the processes of all nodes in one list.
#include "lib/procview/ps.h"

#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/user_names.h"

namespace clustix::command {
namespace {

struct PsArguments {
  bool everything = false;  // -e
  bool wide = false;
  bool json = false;
  std::vector<std::string> pids, users, commands;  // each a list
  procview::PsOptions options;
};

// The parts of lists, which commas or blanks separate, as in ps.
std::vector<std::string> Parts(const std::vector<std::string>& lists) {
  return absl::StrSplit(absl::StrJoin(lists, ","), absl::ByAnyChar(", "), absl::SkipEmpty());
}

// -p, -u and -C; the part that makes no sense, if there is one.
std::string ReadSelection(const PsArguments& arguments, procview::PsOptions* options) {
  if (arguments.everything) return {};  // more cannot be chosen
  for (const std::string& part : Parts(arguments.pids)) {
    int32_t gpid = 0;
    if (!absl::SimpleAtoi(part, &gpid) || gpid <= 0) return absl::StrCat("not a pid: ", part);
    options->gpids.push_back(gpid);
  }
  for (const std::string& part : Parts(arguments.users)) {
    const std::optional<uint32_t> uid = daemon::UserId(part);
    if (!uid) return absl::StrCat("no such user: ", part);
    options->uids.push_back(*uid);
  }
  options->commands = Parts(arguments.commands);
  return {};
}

int RunPs(const Context& context, PsArguments arguments) {
  if (const std::string wrong = ReadSelection(arguments, &arguments.options); !wrong.empty()) {
    Fail(wrong);
    return kExitUsage;
  }
  absl::StatusOr<Connection> connection = ConnectToDaemon(context);
  if (!connection.ok()) return Fail(connection.status());
  absl::StatusOr<proc::ClusterSnapshot> cluster = connection->client.GetSnapshot();
  if (!cluster.ok()) return Fail(cluster.status());

  procview::PsOptions& options = arguments.options;
  options.user_name = daemon::UserName;
  options.group_name = daemon::GroupName;
  options.now_s = time(nullptr);
  if (!arguments.wide) options.max_line_chars = TerminalColumns(0);
  absl::StatusOr<std::string> text = arguments.json ? procview::RenderPsJson(*cluster, options)
                                                    : procview::RenderPsTable(*cluster, options);
  if (!text.ok()) {
    Fail(text.status());
    return kExitUsage;  // an unknown column, sort key or node
  }
  std::fwrite(text->data(), 1, text->size(), stdout);
  if (absl::StatusOr<std::vector<std::string>> warnings = procview::PsWarnings(*cluster, options);
      warnings.ok()) {
    std::fflush(stdout);
    for (const std::string& warning : *warnings) {
      std::fprintf(stderr, "clustix: %s\n", warning.c_str());
    }
  }
  const procview::PsOptions& chosen = arguments.options;
  if (chosen.gpids.empty() && chosen.uids.empty() && chosen.commands.empty()) return kExitOk;
  const absl::StatusOr<size_t> count = procview::CountPs(*cluster, options);
  return count.ok() && *count > 0 ? kExitOk : kExitFailed;
}

}  // namespace

void AddPsCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<PsArguments>();
  CLI::App* command = app.add_subcommand("ps", "List the processes of all nodes");
  command->footer(
      "Pids are global: node * 4194304 + the node's own pid.\n"
      "Examples:\n"
      "  clustix ps\n"
      "  clustix ps -ef --node 2\n"
      "  clustix ps -o node,pid,user,rss,args --sort=-rss\n"
      "  clustix ps --json | jq '.[] | select(.comm == \"sshd\") | .gpid'");
  command->add_flag("-e,-A", arguments->everything,
                    "All processes, as by default, whatever -p, -u and -C say");
  command->add_flag("-f", arguments->options.full, "Full listing");
  command
      ->add_option("-p", arguments->pids,
                   "Only these processes, by global pid; fails if none is there")
      ->type_name("GPIDS")
      ->allow_extra_args(false);
  command->add_option("-u", arguments->users, "Only those of these effective users, by name or id")
      ->type_name("USERS")
      ->allow_extra_args(false);
  command->add_option("-C", arguments->commands, "Only those of these names")
      ->type_name("NAMES")
      ->allow_extra_args(false);
  command->add_option("-o", arguments->options.columns, "Columns, as of ps(1); repeatable")
      ->type_name("COLUMNS")
      ->allow_extra_args(false);
  command
      ->add_option("--sort", arguments->options.sort,
                   "Columns to sort by, '-' before one reverses it (write --sort=-rss)")
      ->type_name("COLUMNS")
      ->allow_extra_args(false);
  command->add_option("--node", arguments->options.nodes, "Only these nodes, by id or name")
      ->type_name("NODES")
      ->allow_extra_args(false);
  command->add_flag("-w", arguments->wide, "Do not cut lines at the terminal's width");
  command->add_flag("--json", arguments->json, "Print a list of objects");
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunPs(context, *arguments); };
  });
}

}  // namespace clustix::command
