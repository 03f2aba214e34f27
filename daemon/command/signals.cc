// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/signals.h"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/command/daemon_client.h"
#include "lib/procview/global_pid.h"

namespace clustix::command {
namespace {

using proc::SignalOutcome;

std::optional<int> ParseNumber(const std::string& text) {
  int number;
  if (text.empty() || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  if (number < 0 || number > SIGRTMAX) return std::nullopt;
  return number;
}

// "RTMIN", "RTMIN+3", "RTMAX-3".
std::optional<int> ParseRealTime(std::string_view text) {
  const bool up = text.starts_with("RTMIN");
  if (!up && !text.starts_with("RTMAX")) return std::nullopt;
  const int base = up ? SIGRTMIN : SIGRTMAX;
  text.remove_prefix(5);
  if (text.empty()) return base;
  if (text.front() != (up ? '+' : '-')) return std::nullopt;
  const std::optional<int> steps = ParseNumber(std::string(text.substr(1)));
  if (!steps || *steps > SIGRTMAX - SIGRTMIN) return std::nullopt;
  return up ? base + *steps : base - *steps;
}

struct Message {
  int exit_code;
  std::string text;
};

Message Describe(SignalOutcome outcome, int32_t gpid) {
  const std::string node = absl::StrCat("node ", procview::NodeOfGlobalPid(gpid));
  switch (outcome) {
    case SignalOutcome::kDelivered:
      return {kExitOk, ""};
    case SignalOutcome::kNoSuchProcess:
      return {kExitFailed, "no such process"};
    case SignalOutcome::kDenied:
      return {kExitDenied, "denied: the process is another user's (its owner and root may)"};
    case SignalOutcome::kInvalid:
      return {kExitFailed, absl::StrCat("no such signal on ", node)};
    case SignalOutcome::kUnreachable:
      return {kExitUnreachable, absl::StrCat("not delivered: ", node,
                                             " does not answer (clustix nodes shows its state)")};
    case SignalOutcome::kUnknown:
      break;
  }
  return {kExitUnknown,
          absl::StrCat("outcome unknown: ", node,
                       " did not say in time whether it was delivered (clustix ps shows whether "
                       "the process is there; nothing is sent twice)")};
}

}  // namespace

std::optional<int> ParseSignal(const std::string& text) {
  if (const std::optional<int> number = ParseNumber(text)) return number;
  std::string name = text;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(toupper(c)); });
  if (name.starts_with("SIG")) name.erase(0, 3);
  if (const std::optional<int> real_time = ParseRealTime(name)) return real_time;
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    const char* known = sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  return std::nullopt;
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? name : std::to_string(signal);
}

std::string SignalList() {
  std::string list;
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    if (sigabbrev_np(signal) == nullptr) continue;
    absl::StrAppend(&list, signal, " ", SignalName(signal), "\n");
  }
  absl::StrAppend(&list, SIGRTMIN, " RTMIN\n", SIGRTMAX, " RTMAX\n");
  return list;
}

int32_t ParseGlobalPid(const std::string& word) {
  int32_t gpid;
  if (!absl::SimpleAtoi(word, &gpid) || gpid <= procview::kLocalPidMask) return 0;
  return procview::LocalPid(gpid) == 0 ? 0 : gpid;
}

int NotGlobalPid(const std::string& word) {
  Fail(absl::StrCat("not a global pid: ", word,
                    " (node * 4194304 + the node's own pid, as clustix ps shows)"));
  return kExitUsage;
}

std::vector<std::string> SpellOutSignals(std::vector<std::string> arguments) {
  size_t at = 0;
  while (at < arguments.size() && arguments[at].starts_with("-")) {
    at += arguments[at] == "--socket" ? 2 : 1;
  }
  if (at >= arguments.size() || (arguments[at] != "kill" && arguments[at] != "pkill")) {
    return arguments;
  }
  for (++at; at < arguments.size() && arguments[at] != "--"; ++at) {
    std::string& argument = arguments[at];
    // Names are in capitals here, so that -h stays the help and -f stays an option.
    if (argument.size() < 2 || argument[0] != '-' || argument[1] == '-' || islower(argument[1])) {
      continue;
    }
    // What can only be meant as a signal is refused as one.
    const std::string word = argument.substr(1);
    const bool meant = std::all_of(word.begin(), word.end(), [&](unsigned char c) {
      return isdigit(c) || (word.size() > 2 && (isupper(c) || c == '+' || c == '-'));
    });
    if (meant || ParseSignal(word)) argument = "--signal=" + word;
  }
  return arguments;
}

int SendSignalTo(const Context& context, int32_t gpid, int signal, uint64_t start_ticks) {
  absl::StatusOr<Connection> connection = ConnectToDaemon(context);
  if (!connection.ok()) return Fail(connection.status());
  const absl::StatusOr<SignalOutcome> outcome =
      connection->client.Signal(gpid, signal, start_ticks);
  if (absl::IsUnknown(outcome.status())) {
    Fail(absl::StrCat(gpid, ": outcome unknown: ", outcome.status().message()));
    return kExitUnknown;
  }
  if (!outcome.ok()) return Fail(outcome.status());
  const Message message = Describe(*outcome, gpid);
  if (message.exit_code != kExitOk) Fail(absl::StrCat(gpid, ": ", message.text));
  return message.exit_code;
}

}  // namespace clustix::command
