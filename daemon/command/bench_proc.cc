// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench proc`: the cluster's /proc beside other ways to list as many processes. The run
// itself is in namespaces of its own, so that it meets no other cluster and leaves nothing.
#include "daemon/command/bench_proc.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "daemon/bench/own_world.h"
#include "daemon/bench/proc_bench.h"
#include "daemon/bench/proc_run.h"
#include "daemon/cluster/layout.h"
#include "daemon/file.h"
#include "lib/base/status.h"

namespace clustix::command {
namespace {

struct ProcArguments {
  bench::ProcBenchOptions options;
  std::string json;
};

absl::StatusOr<std::string> MeasureAndShow(const bench::ProcBenchOptions& options) {
  ASSIGN_OR_RETURN(const bench::ProcRun run, bench::RunProcBench(options));
  std::fputs(bench::RenderProcRun(run).c_str(), stdout);
  std::fflush(stdout);
  return bench::ProcRunToJson(run);
}

absl::Status Save(const std::string& text, const std::string& path) {
  ASSIGN_OR_RETURN(daemon::NewFile file, daemon::NewFile::Create(path, 0644));
  RETURN_IF_ERROR(file.Write(text));
  return file.Commit(/*replace=*/true);
}

int RunBenchProc(const ProcArguments& arguments) {
  const absl::StatusOr<std::string> json =
      bench::RunInOwnWorld([&arguments] { return MeasureAndShow(arguments.options); });
  if (!json.ok()) return Fail(json.status());
  if (arguments.json.empty()) return kExitOk;
  const absl::Status saved = Save(*json, arguments.json);
  return saved.ok() ? kExitOk : Fail(saved);
}

}  // namespace

void AddBenchProcCommand(CLI::App& bench, Context& context) {
  constexpr int kMostProcesses = 10'000, kMostRounds = 1000, kMostBirths = 100'000, kLongestS = 600;
  auto arguments = std::make_shared<ProcArguments>();
  bench::ProcBenchOptions& options = arguments->options;
  CLI::App* command = bench.add_subcommand("proc", "The cluster's /proc, beside plain ones");
  command->footer(
      "Starts a cluster of its own and ends it. For root. Without options: a minute.\n"
      "Examples:\n"
      "  clustix bench proc\n"
      "  clustix bench proc --processes 100 --rounds 3 --json run.json");
  command->add_option("--nodes", options.nodes, "How many nodes (default: 3)")
      ->type_name("N")
      ->check(CLI::Range(2, cluster::kMaxNodes));
  command
      ->add_option("--processes", options.processes,
                   "How many processes are added on each (default: 1000)")
      ->type_name("N")
      ->check(CLI::Range(1, kMostProcesses));
  command->add_option("--rounds", options.rounds, "Rounds; figures are medians (default: 9)")
      ->type_name("N")
      ->check(CLI::Range(1, kMostRounds));
  command
      ->add_option("--births", options.births,
                   "How many births and exits on one node are watched from another (default: 200)")
      ->type_name("N")
      ->check(CLI::Range(1, kMostBirths));
  command
      ->add_option("--idle-s", options.idle_s,
                   "How long the cost of daemons is measured that nobody asks (default: 10)")
      ->type_name("S")
      ->check(CLI::Range(1, kLongestS));
  command->add_option("--json", arguments->json, "Write all figures to this file")
      ->type_name("FILE");
  command->callback([&context, arguments] {
    context.run = [&context, arguments] {
      arguments->options.command_line = context.command_line;
      return RunBenchProc(*arguments);
    };
  });
}

}  // namespace clustix::command
