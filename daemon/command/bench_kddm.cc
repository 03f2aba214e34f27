// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/bench_kddm.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "daemon/bench/kddm_report.h"
#include "daemon/bench/kddm_run.h"
#include "daemon/bench/kddm_runner.h"
#include "daemon/bench/machine.h"
#include "daemon/command/interrupts.h"
#include "daemon/command/progress_line.h"

namespace clustix::command {
namespace {

struct KddmArguments {
  uint32_t rounds = 5;
  bool quick = false;
  std::string json;
};

int RunBenchKddm(const KddmArguments& arguments, const std::string& command_line) {
  ProgressLine progress;
  bench::KddmRun run = {.machine = bench::DescribeMachine(""),
                        .date = bench::DateNow(),
                        .command_line = command_line,
                        .rounds = arguments.rounds,
                        .rows = {}};
  bench::KddmResult result = bench::RunKddm(
      {.rounds = arguments.rounds, .quick = arguments.quick, .interrupt_fd = CatchInterrupts()},
      [&progress](const bench::KddmNext& next) {
        progress.Next(next.what, next.done, next.total);
      });
  progress.Clear();
  run.loadavg = result.loadavg;
  run.rows = std::move(result.rows);
  if (!run.rows.empty()) {
    std::fputs(bench::RenderKddm(run).c_str(), stdout);
    if (!arguments.json.empty()) {
      if (absl::Status saved = bench::SaveKddmRun(run, arguments.json); !saved.ok()) {
        return Fail(saved);
      }
    }
  }
  if (absl::IsCancelled(result.status)) {
    return Fail("interrupted: what is shown had been measured by then");
  }
  return result.status.ok() ? kExitOk : Fail(result.status);
}

}  // namespace

void AddBenchKddmCommand(CLI::App& bench, Context& context) {
  constexpr uint32_t kMostRounds = 1000;
  auto arguments = std::make_shared<KddmArguments>();
  CLI::App* command = bench.add_subcommand("kddm", "Object sets of a cluster of four nodes");
  command->footer(
      "Starts a cluster of its own on this machine, measures it in rounds beside raw TCP, a map of "
      "the process and, where\nit is installed, Redis, and ends it. Without options: a minute.\n"
      "Examples:\n"
      "  clustix bench kddm --quick\n"
      "  clustix bench kddm --json run.json");
  command->add_option("--rounds", arguments->rounds, "Rounds; figures are medians (default: 5)")
      ->type_name("N")
      ->check(CLI::Range(1u, kMostRounds));
  command->add_flag("--quick", arguments->quick, "Fewer samples and one round: a look, in 10 s");
  command->add_option("--json", arguments->json, "Write all rows to this file")->type_name("FILE");
  command->callback([&context, arguments, command] {
    if (arguments->quick && command->count("--rounds") == 0) arguments->rounds = 1;
    context.run = [&context, arguments] { return RunBenchKddm(*arguments, context.command_line); };
  });
}

}  // namespace clustix::command
