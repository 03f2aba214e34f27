// SPDX-License-Identifier: Apache-2.0
//
// `clustix exec`: a program on another node, as if it ran here.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "daemon/command/remote_command.h"
#include "daemon/remote/attachment.h"
#include "lib/base/status.h"
#include "lib/client/socket_path.h"

extern char** environ;

namespace clustix::command {
namespace {

// What a program needs to know of the terminal and the language here; nothing else is passed on
// unasked.
bool IsPassedOn(const std::string& name) {
  return name == "TERM" || name == "COLORTERM" || name == "LANG" || name == "LANGUAGE" ||
         absl::StartsWith(name, "LC_");
}

// "NAME=value" as it stands, "NAME" with the value that it has here, if it has one.
std::vector<std::string> Environment(const std::vector<std::string>& asked) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (IsPassedOn(text.substr(0, text.find('=')))) environment.push_back(text);
  }
  for (const std::string& entry : asked) {
    if (entry.find('=') != std::string::npos) {
      environment.push_back(entry);
    } else if (const char* value = std::getenv(entry.c_str())) {
      environment.push_back(absl::StrCat(entry, "=", value));
    }
  }
  return environment;
}

// Or what is opened next would pass for the input or the output.
void OpenStandardDescriptors() {
  int fd;
  while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO) {
  }
  if (fd >= 0) close(fd);
}

std::string WorkingDirectory() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::current_path(error);
  return error ? "" : path.string();
}

}  // namespace

void DeclareRemoteOptions(CLI::App& command, RemoteArguments& arguments) {
  command.add_flag("-t,--tty", arguments.terminal,
                   "With a terminal there; the default if stdin and stdout are terminals");
  command.add_flag("--no-tty", arguments.no_terminal, "With pipes there");
  command.add_flag("-n,--no-stdin", arguments.no_input, "Without input, as from /dev/null");
  command
      .add_option("--env", arguments.environment,
                  "Set NAME there, to the value that it has here if none is given; repeatable")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  command
      .add_option("--chdir", arguments.directory,
                  "Start in this directory (default: the one here if it is there, else the home)")
      ->type_name("DIR");
  command.add_option("program", arguments.argv, "What to run: -- make -j8")->required();
}

int RunRemote(const Context& context, const std::string& node, const RemoteArguments& arguments) {
  OpenStandardDescriptors();
  remote::RemoteCommand command;
  command.node = node;
  command.argv = arguments.argv;
  command.environment = Environment(arguments.environment);
  command.directory_required = !arguments.directory.empty();
  command.directory = command.directory_required ? arguments.directory : WorkingDirectory();
  const bool both = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  command.terminal =
      !arguments.no_terminal && (arguments.terminal || (both && !arguments.no_input));
  command.no_input = arguments.no_input;
  auto not_started = [](const absl::Status& status) {
    Fail(absl::StrCat("not started: ", status.message()));
    return remote::kExitNotStarted;
  };
  absl::StatusOr<std::string> socket = client::FindSocket(context.socket);
  if (!socket.ok()) return not_started(socket.status());
  absl::StatusOr<remote::FrameSocket> connection = remote::ConnectForExec(*socket);
  if (!connection.ok()) return not_started(connection.status());
  return remote::Attachment(*std::move(connection), std::move(command)).Run();
}

void AddExecCommand(CLI::App& app, Context& context) {
  auto node = std::make_shared<std::string>();
  auto arguments = std::make_shared<RemoteArguments>();
  CLI::App* command = app.add_subcommand("exec", "Run a program on another node");
  command->footer(
      "It runs as you, with your input, output, terminal and signals, and ends when this command\n"
      "does. TERM, COLORTERM, LANG, LANGUAGE and LC_* go with it. It is started once at most.\n"
      "Exit codes: that of the program, or 128 and the number of the signal that killed it; 125 "
      "if\n"
      "nobody knows what became of it, as the node failed; 126 if it was not started, 127 if it\n"
      "is not there.\n"
      "Examples:\n"
      "  clustix exec --node 2 -- uname -a\n"
      "  clustix exec --node beta -- htop\n"
      "  tar c . | clustix exec --node 3 --chdir /var/tmp -- tar x");
  command->add_option("--node", *node, "Which node, by id or name")->type_name("NODE")->required();
  DeclareRemoteOptions(*command, *arguments);
  command->callback([&context, node, arguments] {
    context.run = [&context, node, arguments] { return RunRemote(context, *node, *arguments); };
  });
}

}  // namespace clustix::command
