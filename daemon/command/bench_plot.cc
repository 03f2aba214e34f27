// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench plot` and `clustix bench show`: a run that `clustix bench msg --json` kept, as
// pictures and as tables; need no daemon.
#include "daemon/command/bench_plot.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "daemon/bench/floors.h"
#include "daemon/bench/plot.h"
#include "daemon/bench/report.h"
#include "daemon/bench/run_file.h"

namespace clustix::command {
namespace {

struct PlotArguments {
  std::string file;
  std::string folder;
};

struct ShowArguments {
  std::string file;
  bool floors = false;
  bool markdown = false;
};

int RunBenchPlot(const PlotArguments& arguments) {
  absl::StatusOr<bench::Run> run = bench::LoadRun(arguments.file);
  if (!run.ok()) return Fail(run.status());
  if (absl::Status status = bench::WritePlots(*run, arguments.folder); !status.ok()) {
    return Fail(status);
  }
  std::printf("%s/README.md shows the plots\n", arguments.folder.c_str());
  return kExitOk;
}

int RunBenchShow(const ShowArguments& arguments) {
  absl::StatusOr<bench::Run> run = bench::LoadRun(arguments.file);
  if (!run.ok()) return Fail(run.status());
  std::string text;
  if (arguments.floors) {
    text = bench::RenderFloors(bench::CheckFloors(run->rows, bench::FloorsFor(run->rows)));
  } else if (arguments.markdown) {
    text = bench::RenderMarkdown(*run, /*heading_level=*/3);
  } else {
    // Nothing is left out of what goes into a file.
    text = bench::RenderText(*run, TerminalColumns(SIZE_MAX));
  }
  std::fputs(text.c_str(), stdout);
  return kExitOk;
}

}  // namespace

void AddBenchPlotCommand(CLI::App& bench, Context& context) {
  CLI::App* command =
      bench.add_subcommand("plot", "Draw a run of `clustix bench msg` that was kept");
  auto arguments = std::make_shared<PlotArguments>();
  command->add_option("FILE", arguments->file, "What `clustix bench msg --json` wrote")
      ->required()
      ->option_text(" ");
  command
      ->add_option("DIR", arguments->folder,
                   "Folder for the SVG files and the README.md that shows them; made if needed")
      ->required()
      ->option_text(" ");
  command->footer("Example:\n  clustix bench plot run.json plots");
  command->callback(
      [&context, arguments] { context.run = [arguments] { return RunBenchPlot(*arguments); }; });
}

void AddBenchShowCommand(CLI::App& bench, Context& context) {
  CLI::App* command =
      bench.add_subcommand("show", "Show the tables of a run of `clustix bench msg` that was kept");
  auto arguments = std::make_shared<ShowArguments>();
  command->add_option("FILE", arguments->file, "What `clustix bench msg --json` wrote")
      ->required()
      ->option_text(" ");
  CLI::Option* markdown =
      command->add_flag("--markdown", arguments->markdown, "As Markdown, for documents");
  command
      ->add_flag("--floors", arguments->floors,
                 "Only whether the run reached what messaging must reach beside its peers")
      ->excludes(markdown);
  command->footer("Example:\n  clustix bench show --floors run.json");
  command->callback(
      [&context, arguments] { context.run = [arguments] { return RunBenchShow(*arguments); }; });
}

}  // namespace clustix::command
