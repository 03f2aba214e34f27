// SPDX-License-Identifier: Apache-2.0
//
// `clustix kill`: signals to processes of any node.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/command/signals.h"

namespace clustix::command {
namespace {

struct KillArguments {
  std::string signal = "TERM";
  bool list = false;
  std::vector<std::string> words;  // global pids; with `list`, signals
};

int NoSuchSignal(const std::string& text) {
  return Misuse(absl::StrCat("no such signal: ", text, " (clustix kill -l lists them)"));
}

// A signal, or the exit status of a program that one has killed, as of POSIX.
std::optional<int> ParseSignalOrStatus(const std::string& word) {
  constexpr int kKilled = 128;
  int status;
  const bool is_status = absl::SimpleAtoi(word, &status) && status > kKilled;
  return ParseSignal(is_status ? absl::StrCat(status - kKilled) : word);
}

// Names for numbers and numbers for names; all without any.
int ListSignals(const std::vector<std::string>& words) {
  if (words.empty()) std::fputs(SignalList().c_str(), stdout);
  for (const std::string& word : words) {
    const std::optional<int> signal = ParseSignalOrStatus(word);
    if (!signal) return NoSuchSignal(word);
    const bool is_number = word[0] >= '0' && word[0] <= '9';
    std::printf("%s\n", is_number ? SignalName(*signal).c_str() : absl::StrCat(*signal).c_str());
  }
  return kExitOk;
}

int RunKill(const Context& context, const KillArguments& arguments) {
  if (arguments.list) return ListSignals(arguments.words);
  const std::optional<int> signal = ParseSignal(arguments.signal);
  if (!signal) return NoSuchSignal(arguments.signal);
  if (arguments.words.empty()) return Misuse("kill needs a global pid (see: clustix kill --help)");
  // Nothing is sent if one of them is wrong.
  std::vector<int32_t> gpids;
  for (const std::string& word : arguments.words) {
    gpids.push_back(ParseGlobalPid(word));
    if (gpids.back() != 0) continue;
    return NotGlobalPid(word);
  }
  int exit_code = kExitOk;
  for (int32_t gpid : gpids) {
    exit_code = std::max(exit_code, SendSignalTo(context, gpid, *signal, 0));
  }
  return exit_code;
}

}  // namespace

void AddKillCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<KillArguments>();
  CLI::App* command = app.add_subcommand("kill", "Send a signal to processes of any node");
  command->footer(
      "-9, -TERM and the like say the signal, too. You may signal what kill(1) would let you "
      "signal "
      "on\nthe node of the process. A signal is sent once at most.\n"
      "Exit codes: 0 delivered, 1 no such process, 3 denied, 4 not delivered as the node does not\n"
      "answer, 5 unknown as the node failed meanwhile; of several, the largest.\n"
      "Examples:\n"
      "  clustix kill 8388630\n"
      "  clustix kill -HUP 8388630 12582930\n"
      "  clustix kill -l");
  command->add_option("-s,--signal", arguments->signal, "Which signal, by name or number")
      ->type_name("SIGNAL")
      ->capture_default_str();
  command->add_flag("-l,--list", arguments->list,
                    "List the signals, or tell names for numbers and numbers for names");
  command->add_option("gpid", arguments->words, "Global pids; with -l, signals");
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunKill(context, *arguments); };
  });
}

}  // namespace clustix::command
