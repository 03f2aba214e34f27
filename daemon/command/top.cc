// SPDX-License-Identifier: Apache-2.0
//
// `clustix top`: nodes and processes, over and over.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/full_screen.h"
#include "daemon/command/signals.h"
#include "daemon/user_names.h"
#include "lib/base/status.h"
#include "lib/procview/top_model.h"

namespace clustix::command {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct TopArguments {
  bool batch = false;
  uint64_t count = 0;  // 0: until it is ended
  double delay_s = 1;

  milliseconds delay() const { return milliseconds(static_cast<int64_t>(delay_s * 1000)); }
};

// Asks the daemon; a restarted one is connected anew.
class Source {
 public:
  explicit Source(const Context& context) : context_(context), sampler_(daemon::UserName) {}

  absl::Status Refresh(procview::TopModel* model) {
    if (connection_ == nullptr) {
      ASSIGN_OR_RETURN(Connection connected, ConnectToDaemon(context_));
      connection_ = std::make_unique<Connection>(std::move(connected));
    }
    absl::StatusOr<proc::ClusterSnapshot> cluster = connection_->client.GetSnapshot();
    if (!cluster.ok()) {
      connection_ = nullptr;
      return cluster.status();
    }
    model->Update(sampler_.Sample(*cluster));
    return absl::OkStatus();
  }

  std::string Signal(const procview::TopAction& action) {
    absl::StatusOr<Connection> connected = ConnectToDaemon(context_);
    if (!connected.ok()) return std::string(base::ToStd(connected.status().message()));
    const auto outcome = connected->client.Signal(action.gpid, action.signal, action.start_ticks);
    if (!outcome.ok()) return std::string(base::ToStd(outcome.status().message()));
    const std::string what = absl::StrCat("SIG", SignalName(action.signal), " to ", action.gpid);
    switch (*outcome) {
      case proc::SignalOutcome::kDelivered:
        return what + ": delivered";
      case proc::SignalOutcome::kNoSuchProcess:
        return what + ": it is gone";
      case proc::SignalOutcome::kDenied:
        return what + ": denied";
      case proc::SignalOutcome::kInvalid:
        return what + ": no such signal";
      case proc::SignalOutcome::kUnreachable:
        return what + ": not delivered, its node does not answer";
      case proc::SignalOutcome::kUnknown:
        break;
    }
    return what + ": outcome unknown, its node failed meanwhile";
  }

 private:
  const Context& context_;
  procview::TopSampler sampler_;
  std::unique_ptr<Connection> connection_;
};

int RunBatch(Source& source, const TopArguments& arguments) {
  procview::TopModel model;
  for (uint64_t round = 1;; ++round) {
    if (absl::Status status = source.Refresh(&model); !status.ok()) return Fail(status);
    const std::string text = model.Text(0) + "\n";
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
        std::fflush(stdout) != 0) {
      return kExitFailed;  // what happened is said of all output at the end
    }
    if (round == arguments.count) return kExitOk;
    poll(nullptr, 0, static_cast<int>(arguments.delay().count()));  // there is no event
  }
}

// The exit code; -1: as ended by a signal.
int RunOnScreen(Source& source, const TopArguments& arguments) {
  procview::TopModel model;
  if (absl::Status status = source.Refresh(&model); !status.ok()) return Fail(status);
  absl::StatusOr<std::unique_ptr<FullScreen>> opened = FullScreen::Open();
  if (!opened.ok()) return Fail(opened.status());
  FullScreen& screen = **opened;
  uint64_t rounds = 1;
  auto next = steady_clock::now() + arguments.delay();
  while (FullScreen::EndSignal() == 0) {
    screen.Draw(model.Lines(screen.rows(), screen.columns()));
    const auto now = steady_clock::now();
    if (now >= next) {
      if (arguments.count != 0 && rounds++ >= arguments.count) return kExitOk;
      const absl::Status status = source.Refresh(&model);
      if (!status.ok()) model.Say(std::string(base::ToStd(status.message())));
      next = steady_clock::now() + arguments.delay();
      continue;
    }
    const auto left = std::chrono::duration_cast<milliseconds>(next - now) + milliseconds(1);
    const std::optional<int> key = screen.ReadKey(left);
    if (!key) continue;
    const procview::TopAction action = model.Press(*key);
    if (action.kind == procview::TopAction::Kind::kQuit) return kExitOk;
    if (action.kind == procview::TopAction::Kind::kSignal) model.Say(source.Signal(action));
  }
  return -1;
}

int RunTop(const Context& context, const TopArguments& arguments) {
  Source source(context);
  if (arguments.batch) return RunBatch(source, arguments);
  const int code = RunOnScreen(source, arguments);
  if (code >= 0) return code;
  // The terminal is restored: end as the signal would have it, so that a shell knows.
  signal(FullScreen::EndSignal(), SIG_DFL);
  raise(FullScreen::EndSignal());
  return kExitFailed;
}

}  // namespace

void AddTopCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<TopArguments>();
  CLI::App* command = app.add_subcommand("top", "Watch nodes and processes on the whole screen");
  command->footer(
      "Keys as of htop: arrows select; P M T N sort by processor, memory, time, pid; F4 or \\ "
      "filters;\nF3 or / searches; F9 or k sends a signal; n and digits show one node; space "
      "pauses;\nF1 or h has them all; q quits.\n"
      "Examples:\n"
      "  clustix top\n"
      "  clustix top -d 0.5\n"
      "  clustix top -b -n 1 | head -20");
  command->add_flag("-b,--batch", arguments->batch, "Print plain text instead, for scripts");
  command->add_option("-n,--count", arguments->count, "End after so many refreshes")
      ->type_name("COUNT")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  command->add_option("-d,--delay", arguments->delay_s, "Seconds between refreshes")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunTop(context, *arguments); };
  });
}

}  // namespace clustix::command
