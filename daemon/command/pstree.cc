// SPDX-License-Identifier: Apache-2.0
//
// `clustix pstree`: the processes of all nodes as one tree.
#include "lib/procview/pstree.h"

#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"

namespace clustix::command {
namespace {

struct PstreeArguments {
  bool ascii = false;
  bool utf8 = false;
  bool wide = false;
  procview::PstreeOptions options;
};

// Whether the user's language has the lines.
bool LocaleHasLines() {
  setlocale(LC_CTYPE, "");
  return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int RunPstree(const Context& context, PstreeArguments arguments) {
  absl::StatusOr<Connection> connection = ConnectToDaemon(context);
  if (!connection.ok()) return Fail(connection.status());
  absl::StatusOr<proc::ClusterSnapshot> cluster = connection->client.GetSnapshot();
  if (!cluster.ok()) return Fail(cluster.status());
  procview::PstreeOptions& options = arguments.options;
  options.ascii = arguments.ascii || (!arguments.utf8 && !LocaleHasLines());
  if (!arguments.wide) options.max_line_chars = TerminalColumns(0);
  absl::StatusOr<std::string> text = procview::RenderPstree(*cluster, options);
  if (!text.ok()) {
    Fail(text.status());
    return kExitUsage;  // an unknown node
  }
  std::fwrite(text->data(), 1, text->size(), stdout);
  return kExitOk;
}

}  // namespace

void AddPstreeCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<PstreeArguments>();
  CLI::App* command = app.add_subcommand("pstree", "Show the processes of all nodes as a tree");
  command->footer(
      "Examples:\n"
      "  clustix pstree\n"
      "  clustix pstree -p -a --node 2");
  command->add_flag("-p,--show-pids", arguments->options.show_pids, "Show global pids");
  command->add_flag("-a,--arguments", arguments->options.show_args, "Show command lines");
  command->add_option("--node", arguments->options.nodes, "Only these nodes, by id or name")
      ->type_name("NODES")
      ->allow_extra_args(false);
  command->add_flag("-l,--long", arguments->wide, "Do not cut lines at the terminal's width");
  CLI::Option* ascii =
      command->add_flag("--ascii", arguments->ascii,
                        "Draw with ASCII characters; the default where the locale is not UTF-8");
  command->add_flag("--unicode", arguments->utf8, "Draw with Unicode's lines")->excludes(ascii);
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunPstree(context, *arguments); };
  });
}

}  // namespace clustix::command
