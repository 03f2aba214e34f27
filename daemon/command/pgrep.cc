// SPDX-License-Identifier: Apache-2.0
//
// `clustix pgrep` and `clustix pkill`: processes of any node by name, user or command line.
#include "lib/procview/pgrep.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/signals.h"
#include "daemon/user_names.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/ps.h"

namespace clustix::command {
namespace {

using procview::PsRow;

struct PgrepArguments {
  procview::PgrepOptions options;
  std::vector<std::string> users;
  // pgrep:
  bool names = false;  // -l
  bool lines = false;  // -a
  bool count = false;  // -c
  std::string delimiter = "\n";
  // pkill:
  std::string signal = "TERM";
  bool echo = false;  // -e
};

std::string MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// This process as the daemon lists it; 0 if it is in none of its lists. Its pid may be another's
// there, for the daemon can be in another pid namespace.
int32_t OwnGlobalPid(const proc::ClusterSnapshot& cluster) {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string own((std::istreambuf_iterator<char>(file)), {});
  for (const proc::NodeView& node : cluster.nodes) {
    if (node.node != cluster.self || !node.snapshot) continue;
    for (const proc::ProcessRecord& process : node.snapshot->processes) {
      if (process.pid != getpid() || own.empty() || process.cmdline.empty()) continue;
      const size_t length = std::min(own.size(), process.cmdline.size());
      if (own.compare(0, length, process.cmdline, 0, length) != 0) continue;
      return procview::GlobalPid(node.node, process.pid);
    }
  }
  return 0;
}

// Asks the daemon and chooses; an exit code where that fails.
int Find(const Context& context, PgrepArguments& arguments, std::vector<PsRow>* found) {
  procview::PgrepOptions& options = arguments.options;
  for (const std::string& list : arguments.users) {
    for (const std::string& name : std::vector<std::string>(absl::StrSplit(list, ','))) {
      const std::optional<uint32_t> uid = daemon::UserId(name);
      if (!uid) return Misuse(absl::StrCat("no such user: ", name));
      options.uids.push_back(*uid);
    }
  }
  if (options.pattern.empty() && options.uids.empty() && options.nodes.empty() && !options.newest &&
      !options.oldest) {
    return Misuse("nothing to look for: a pattern, -u or --node is needed (see --help)");
  }
  if (options.newest && options.oldest) return Misuse("-n and -o exclude each other");
  absl::StatusOr<Connection> connection = ConnectToDaemon(context);
  if (!connection.ok()) return Fail(connection.status());
  const absl::StatusOr<proc::ClusterSnapshot> cluster = connection->client.GetSnapshot();
  if (!cluster.ok()) return Fail(cluster.status());
  options.caller_gpid = OwnGlobalPid(*cluster);
  absl::StatusOr<std::vector<PsRow>> rows = procview::Pgrep(*cluster, options);
  if (!rows.ok()) return Misuse(MessageOf(rows.status()));
  *found = *std::move(rows);
  procview::PsOptions shown;
  shown.nodes = options.nodes;
  if (const auto warnings = procview::PsWarnings(*cluster, shown); warnings.ok()) {
    for (const std::string& warning : *warnings) Fail(warning);
  }
  return kExitOk;
}

int RunPgrep(const Context& context, PgrepArguments arguments) {
  std::vector<PsRow> rows;
  if (const int failed = Find(context, arguments, &rows); failed != kExitOk) return failed;
  if (arguments.count) {
    std::printf("%zu\n", rows.size());
  } else if (!rows.empty()) {
    const auto line = [&arguments](std::string* out, const PsRow& row) {
      absl::StrAppend(out, row.gpid);
      if (arguments.lines) {
        absl::StrAppend(out, " ", row.args);
      } else if (arguments.names) {
        absl::StrAppend(out, " ", row.comm);
      }
    };
    std::printf("%s\n", absl::StrJoin(rows, arguments.delimiter, line).c_str());
  }
  return rows.empty() ? kExitFailed : kExitOk;
}

int RunPkill(const Context& context, PgrepArguments arguments) {
  const std::optional<int> signal = ParseSignal(arguments.signal);
  if (!signal) {
    return Misuse(absl::StrCat("no such signal: ", arguments.signal, " (see: clustix kill -l)"));
  }
  std::vector<PsRow> rows;
  if (const int failed = Find(context, arguments, &rows); failed != kExitOk) return failed;
  int exit_code = rows.empty() ? kExitFailed : kExitOk;
  for (const PsRow& row : rows) {
    // The one that was found, not another that has its pid by now.
    const int result = SendSignalTo(context, row.gpid, *signal, row.stat.starttime_ticks);
    exit_code = std::max(exit_code, result);
    if (arguments.echo && result == kExitOk) {
      std::printf("%s killed (pid %d)\n", row.comm.c_str(), row.gpid);
    }
  }
  return exit_code;
}

void AddChoice(CLI::App& command, PgrepArguments& arguments) {
  procview::PgrepOptions& options = arguments.options;
  command.add_option("pattern", options.pattern,
                     "Extended regular expression that the name of the process must match");
  command.add_flag("-f,--full", options.full, "Match against the command line, not the name");
  command.add_flag("-x,--exact", options.exact, "Match the whole of it");
  command.add_flag("-i,--ignore-case", options.ignore_case, "Take capitals for small letters");
  command.add_option("-u,--euid", arguments.users, "Only of these effective users, by name or id")
      ->type_name("USERS")
      ->allow_extra_args(false);
  command.add_flag("-n,--newest", options.newest, "Only the one that started last");
  command.add_flag("-o,--oldest", options.oldest, "Only the one that started first");
  command.add_option("--node", options.nodes, "Only on these nodes, by id or name")
      ->type_name("NODES")
      ->allow_extra_args(false);
}

}  // namespace

void AddPgrepCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<PgrepArguments>();
  CLI::App* command = app.add_subcommand("pgrep", "Find processes of any node");
  command->footer(
      "Exit codes: 0 found, 1 none (or failed), 2 wrong usage.\n"
      "Examples:\n"
      "  clustix pgrep -a sshd\n"
      "  clustix pgrep -c -u www-data --node 2,3");
  AddChoice(*command, *arguments);
  command->add_flag("-v,--inverse", arguments->options.invert, "Those that do not match");
  command->add_flag("-l,--list-name", arguments->names, "Print the name, too");
  command->add_flag("-a,--list-full", arguments->lines, "Print the command line, too");
  command->add_flag("-c,--count", arguments->count, "Print only how many there are");
  command->add_option("-d,--delimiter", arguments->delimiter, "What to print between two")
      ->type_name("TEXT");
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunPgrep(context, *arguments); };
  });
}

void AddPkillCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<PgrepArguments>();
  CLI::App* command = app.add_subcommand("pkill", "Send a signal to processes of any node");
  command->footer(
      "-9, -HUP and the like say the signal, too. clustix pgrep with the same words shows whom it\n"
      "would reach. Exit codes are those of clustix kill; 1 if there is no such process.\n"
      "Examples:\n"
      "  clustix pkill -HUP -x nginx\n"
      "  clustix pkill -u nobody -f '^sleep 4242$'");
  AddChoice(*command, *arguments);
  command->add_option("-s,--signal", arguments->signal, "Which signal, by name or number")
      ->type_name("SIGNAL")
      ->capture_default_str();
  command->add_flag("-e,--echo", arguments->echo, "Print who was signalled");
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunPkill(context, *arguments); };
  });
}

}  // namespace clustix::command
