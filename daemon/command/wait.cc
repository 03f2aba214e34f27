// SPDX-License-Identifier: Apache-2.0
//
// `clustix wait` and `clustix nice`: for processes of any node, what their own node does.
#include <errno.h>
#include <string.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "daemon/command/signals.h"
#include "daemon/remote/inquiry.h"
#include "lib/base/status.h"
#include "lib/client/socket_path.h"
#include "lib/procview/global_pid.h"

namespace clustix::command {
namespace {

using remote::Finding;

constexpr int kExitTimeout = 124;  // as of timeout(1)

struct WaitArguments {
  std::vector<std::string> words;
  double timeout_s = 0;
  bool verbose = false;
};

struct NiceArguments {
  std::vector<std::string> words;
  int nice = 10;
  bool relative = false;
};

// Says what is wrong with one process, and returns the exit code for it.
int Judge(int32_t gpid, const Finding& finding) {
  const std::string node = absl::StrCat("node ", procview::NodeOfGlobalPid(gpid));
  switch (finding.kind) {
    case Finding::Kind::kNotAsked:
      Fail(absl::StrCat(gpid, ": ", node, " was not asked: ", finding.text));
      return kExitUnreachable;
    case Finding::Kind::kUnknown:
      Fail(absl::StrCat(gpid, ": outcome unknown: ", finding.text));
      return kExitUnknown;
    case Finding::Kind::kAnswered:
      break;
  }
  if (finding.error == 0) return kExitOk;
  if (finding.error == ESRCH) {
    Fail(absl::StrCat(gpid, ": no such process"));
    return kExitFailed;
  }
  if (finding.error == EPERM) {
    Fail(absl::StrCat(gpid, ": denied: the process is another user's, or only root may do this"));
    return kExitDenied;
  }
  Fail(absl::StrCat(gpid, ": ", strerror(finding.error)));
  return kExitFailed;
}

// nullopt: one of them is none, which has been said.
std::optional<std::vector<int32_t>> ParseGlobalPids(const std::vector<std::string>& words) {
  std::vector<int32_t> gpids;
  for (const std::string& word : words) {
    gpids.push_back(ParseGlobalPid(word));
    if (gpids.back() != 0) continue;
    NotGlobalPid(word);
    return std::nullopt;
  }
  return gpids;
}

// The largest exit code of all processes; `patience` over: kExitTimeout.
int Ask(const Context& context, remote::Inquiry inquiry,
        const std::function<void(int32_t gpid, const Finding&)>& done) {
  absl::StatusOr<std::string> socket = client::FindSocket(context.socket);
  if (!socket.ok()) return Fail(socket.status());
  inquiry.admin_socket = *socket;
  int exit_code = kExitOk;
  inquiry.tell = [&](int32_t gpid, const Finding& finding) {
    const int code = Judge(gpid, finding);
    if (code == kExitOk && done) done(gpid, finding);
    exit_code = std::max(exit_code, code);
  };
  const absl::Status status = remote::Inquire(inquiry);
  if (absl::IsDeadlineExceeded(status)) return kExitTimeout;
  return status.ok() ? exit_code : Fail(status);
}

int RunWait(const Context& context, const WaitArguments& arguments) {
  const std::optional<std::vector<int32_t>> gpids = ParseGlobalPids(arguments.words);
  if (!gpids) return kExitUsage;
  remote::Inquiry inquiry;
  inquiry.gpids = *gpids;
  if (arguments.timeout_s > 0) {
    inquiry.patience = std::chrono::milliseconds(static_cast<int64_t>(arguments.timeout_s * 1000));
  }
  inquiry.ask = [](proto::Start::Builder start, const std::vector<int32_t>& pids) {
    auto list = start.initWait(static_cast<unsigned>(pids.size()));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, pids[i]);
  };
  return Ask(context, inquiry, [&](int32_t gpid, const Finding&) {
    if (!arguments.verbose) return;
    std::printf("%d has ended\n", gpid);
    std::fflush(stdout);
  });
}

int RunNice(const Context& context, const NiceArguments& arguments) {
  const std::optional<std::vector<int32_t>> gpids = ParseGlobalPids(arguments.words);
  if (!gpids) return kExitUsage;
  if (!arguments.relative && (arguments.nice < -20 || arguments.nice > 19)) {
    return Misuse(absl::StrCat("not a niceness: ", arguments.nice, " (-20 to 19)"));
  }
  remote::Inquiry inquiry;
  inquiry.gpids = *gpids;
  inquiry.ask = [&](proto::Start::Builder start, const std::vector<int32_t>& pids) {
    auto renice = start.initRenice();
    renice.setNice(arguments.nice);
    renice.setRelative(arguments.relative);
    auto list = renice.initPids(static_cast<unsigned>(pids.size()));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, pids[i]);
  };
  return Ask(context, inquiry, nullptr);
}

}  // namespace

void AddWaitCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<WaitArguments>();
  CLI::App* command = app.add_subcommand("wait", "Wait until processes of any node have ended");
  command->footer(
      "Exit codes: 0 all have ended, 1 there is no such process, 4 a node does not answer, 5 a\n"
      "node failed meanwhile, 124 the time is over; of several, the largest.\n"
      "Examples:\n"
      "  clustix wait 8388630\n"
      "  clustix wait --timeout 60 $(clustix pgrep -x make)");
  command->add_option("--timeout", arguments->timeout_s, "How many seconds at most")
      ->type_name("SECONDS")
      ->check(CLI::Validator(
          [](const std::string& text) {
            double seconds = 0;
            const bool ok =
                CLI::detail::lexical_cast(text, seconds) && seconds >= 0.001 && seconds <= 1e9;
            return ok ? "" : absl::StrCat("not a time: ", text, " (seconds, 0.001 to 1e9)");
          },
          ""));
  command->add_flag("-v,--verbose", arguments->verbose, "Print who has ended");
  command->add_option("gpid", arguments->words, "Global pids")->required();
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunWait(context, *arguments); };
  });
}

void AddNiceCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<NiceArguments>();
  CLI::App* command = app.add_subcommand("nice", "Change how much processor time processes get");
  command->footer(
      "As renice(1): -20 is most, 19 least. All threads of a process are changed. You may do what\n"
      "you might on the node of the process: only root may give more.\n"
      "Exit codes: 0 done, 1 no such process, 3 denied, 4 not done as the node does not answer, 5\n"
      "unknown as the node failed meanwhile; of several, the largest.\n"
      "Examples:\n"
      "  clustix nice -n 15 8388630\n"
      "  clustix nice --relative -n 5 $(clustix pgrep -x make)");
  command->add_option("-n,--priority", arguments->nice, "The niceness to set")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--relative", arguments->relative, "Add it to what it is");
  command->add_option("gpid", arguments->words, "Global pids")->required();
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunNice(context, *arguments); };
  });
}

}  // namespace clustix::command
