// SPDX-License-Identifier: Apache-2.0
//
// `clustix bench msg`: messaging beside other ways of sending messages; needs no daemon.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/bench/floors.h"
#include "daemon/bench/machine.h"
#include "daemon/bench/machines.h"
#include "daemon/bench/peers.h"
#include "daemon/bench/plot.h"
#include "daemon/bench/report.h"
#include "daemon/bench/run_file.h"
#include "daemon/bench/runner.h"
#include "daemon/command/bench_kddm.h"
#include "daemon/command/bench_plot.h"
#include "daemon/command/bench_proc.h"
#include "daemon/command/bench_soak.h"
#include "daemon/command/command.h"
#include "daemon/command/interrupts.h"
#include "daemon/command/progress_line.h"
#include "daemon/command/table.h"
#include "lib/base/status.h"

namespace clustix::command {
namespace {

using bench::Mode;

constexpr size_t kWithoutTerminal = 120;  // columns
constexpr uint32_t kBesideBulkMs = 500;   // of each half of a round

struct MsgArguments {
  std::string peers = "default";
  bench::CaseChoice cases{.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway},
                          .sizes_bytes = {64, 4096, 65536, 1048576},
                          .windows = {64, 1024}};
  uint32_t rounds = 5;
  uint32_t duration_ms = 250;  // kBesideBulkMs with --beside-bulk
  std::string congestion;
  uint32_t spin_us = 50;
  std::string json, plot;
  bool no_pin = false, quick = false, list_peers = false;
  bool vm = false, count_instructions = false;
  std::string kernel = "6.1";  // of the machines
  uint32_t cut_ms = 0;         // 0: compare peers
  uint32_t seconds = 0;        // 0: 60 with --cut, 5 with --peers-at-once
  uint32_t peers_at_once = 0;
  bool beside_bulk = false;
  std::optional<uint32_t> stall_seconds;

  bool is_soak() const {
    return cut_ms > 0 || peers_at_once > 0 || beside_bulk || stall_seconds.has_value();
  }
};

// A look at everything rather than a measurement: about 20 s with the peers of the build. What was
// asked for stays.
void MakeQuick(const CLI::App& command, MsgArguments& arguments) {
  if (command.count("--rounds") == 0) arguments.rounds = 1;
  if (command.count("--sizes") == 0) arguments.cases.sizes_bytes = {64, 65536};
}

// Machines without KVM take their time; where instructions are counted, one round is as good as
// ten.
void MakeForMachines(const CLI::App& command, MsgArguments& arguments) {
  if (command.count("--sizes") == 0) arguments.cases.sizes_bytes = {64};
  if (command.count("--windows") == 0) arguments.cases.windows = {64};
  if (command.count("--duration-ms") == 0) {
    arguments.duration_ms = arguments.count_instructions ? 100 : 1000;
  }
  if (command.count("--rounds") == 0 && arguments.count_instructions) arguments.rounds = 1;
}

class Progress {
 public:
  void Next(const bench::Step& step) {
    line_.Next(absl::StrCat("round ", step.round + 1, ", ", step.peer->description.name, ", ",
                            bench::CaseTitle(step.test)),
               step.done, step.total);
  }
  // Stands by itself, above the line.
  void Say(const std::string& message) { line_.Say(message); }
  void Clear() { line_.Clear(); }

 private:
  ProgressLine line_;
};

int ListPeers() {
  Table table({{"PEER"}, {"WHAT"}, {"BUILT"}, {"NEEDS"}});
  for (const bench::KnownPeer& peer : bench::KnownPeers()) {
    table.Add({std::string(peer.name), std::string(peer.title), bench::IsBuilt(peer) ? "yes" : "no",
               peer.of_the_kernel ? "two machines (--vm)" : std::string(peer.packages)});
  }
  std::fputs(table.Render().c_str(), stdout);
  std::printf("./up --bench-peers installs and builds those that are missing.\n");
  return kExitOk;
}

std::vector<std::string> NamesOf(const std::vector<const bench::KnownPeer*>& peers) {
  std::vector<std::string> names;
  for (const bench::KnownPeer* peer : peers) names.emplace_back(peer->name);
  return names;
}

absl::Status Write(const MsgArguments& arguments, const bench::Run& run) {
  if (!arguments.json.empty()) RETURN_IF_ERROR(bench::SaveRun(run, arguments.json));
  if (!arguments.plot.empty()) RETURN_IF_ERROR(bench::WritePlots(run, arguments.plot));
  return absl::OkStatus();
}

int RunSoak(const MsgArguments& arguments) {
  constexpr uint32_t kCutSeconds = 60, kManySeconds = 5;
  constexpr uint32_t kManyWindow = 16;
  const int interrupt_fd = CatchInterrupts();
  const bench::SoakPlan plan{.congestion = arguments.congestion,
                             .spin_us = arguments.spin_us,
                             .pin = !arguments.no_pin,
                             .interrupt_fd = interrupt_fd};
  if (arguments.cut_ms > 0) {
    return RunCutCommand(plan, arguments.cut_ms,
                         arguments.seconds > 0 ? arguments.seconds : kCutSeconds);
  }
  if (arguments.beside_bulk) {
    return RunBulkCommand(plan, arguments.rounds, arguments.duration_ms);
  }
  if (arguments.stall_seconds) return RunStallCommand(plan, *arguments.stall_seconds);
  const uint32_t seconds = arguments.seconds > 0 ? arguments.seconds : kManySeconds;
  return RunManyCommand(plan, arguments.peers_at_once, kManyWindow, seconds * 1000);
}

// Switches the machines off, and says what they were.
absl::Status Finish(const MsgArguments& arguments, bench::Machines& machines, bench::Run& run) {
  run.machine.kernel = absl::StrCat(
      machines.release(), arguments.count_instructions ? " in a machine" : " in two machines",
      " of QEMU without KVM, on Linux ", run.machine.kernel);
  return machines.Finish();
}

int RunBenchMsg(const MsgArguments& arguments, const std::string& command_line) {
  if (arguments.list_peers) return ListPeers();
  if (absl::Status status = bench::CheckCongestion(arguments.congestion); !status.ok()) {
    return Fail(status);
  }
  if (arguments.is_soak()) return RunSoak(arguments);
  const absl::StatusOr<bench::ChosenPeers> chosen =
      bench::ChoosePeers(arguments.peers, arguments.vm);
  if (!chosen.ok()) {
    const int code = Fail(chosen.status());
    return absl::IsInvalidArgument(chosen.status()) ? kExitUsage : code;
  }
  Progress progress;
  if (!chosen->not_built.empty()) {
    progress.Say(absl::StrCat("without ", absl::StrJoin(NamesOf(chosen->not_built), ", "),
                              ": not built (run: ./up --bench-peers)"));
  }
  const int interrupt_fd = CatchInterrupts();
  std::unique_ptr<bench::Machines> machines;
  if (arguments.vm) {
    progress.Say("booting the machines");
    absl::StatusOr<std::unique_ptr<bench::Machines>> booted =
        bench::Machines::Boot(chosen->peers, {.kernel = arguments.kernel,
                                              .count_instructions = arguments.count_instructions,
                                              .interrupt_fd = interrupt_fd});
    if (!booted.ok()) return Fail(booted.status());
    machines = *std::move(booted);
  }
  bench::Plan plan{.peers = chosen->peers,
                   .cases = bench::CasesOf(arguments.cases),
                   .rounds = arguments.rounds,
                   .duration_ms = arguments.duration_ms,
                   .congestion = arguments.congestion,
                   .spin_us = arguments.spin_us,
                   .pin = !arguments.no_pin,
                   .interrupt_fd = interrupt_fd};
  if (machines != nullptr) plan.stage = machines->stage();
  bench::Run run{.machine = bench::DescribeMachine(arguments.congestion),
                 .date = bench::DateNow(),
                 .command_line = command_line,
                 .rows = {}};
  const bench::RunResult result = bench::RunPlan(
      plan, [&](const bench::Step& step) { progress.Next(step); },
      [&](const bench::Failure& failure) {
        progress.Say(absl::StrCat(failure.peer, " failed in round ", failure.round + 1, ", ",
                                  bench::CaseTitle(failure.test), ": ", failure.reason));
      });
  progress.Clear();
  run.rows = result.rows;
  const absl::Status off =
      machines == nullptr ? absl::OkStatus() : Finish(arguments, *machines, run);
  std::fputs(bench::RenderText(run, TerminalColumns(kWithoutTerminal)).c_str(), stdout);
  if (arguments.count_instructions) {
    std::printf("\nTime is counted in instructions: a microsecond is a thousand of them.\n");
  }
  if (const auto& floors = bench::FloorsFor(run.rows); !floors.empty()) {
    std::printf("\n%s", bench::RenderFloors(bench::CheckFloors(run.rows, floors)).c_str());
  }
  if (absl::Status status = Write(arguments, run); !status.ok()) return Fail(status);
  if (!off.ok()) return Fail(off);
  if (result.interrupted) return Fail("interrupted: what is shown had been measured by then");
  if (result.failures.empty()) return kExitOk;
  return Fail(absl::StrCat(result.failures.size(), " measurements failed (see above)"));
}

void AddCaseOptions(CLI::App* command, MsgArguments& arguments) {
  constexpr size_t kLargestBytes = 1024 * 1024;
  constexpr size_t kLargestWindow = 16384;
  // To the number that CLI11 reads; its own transformer would show the numbers to the user.
  const CLI::Validator modes(
      [](std::string& name) {
        const std::optional<Mode> mode = bench::ParseMode(name);
        if (!mode) return "unknown mode \"" + name + "\" (valid: sync, async, oneway)";
        name = std::to_string(static_cast<int>(*mode));
        return std::string();
      },
      "");
  command
      ->add_option("--peers", arguments.peers,
                   "Names with commas between them, `default` (those of every build) or `all` "
                   "that are built")
      ->type_name("NAMES");
  command
      ->add_option("--modes", arguments.cases.modes,
                   "sync: one call at a time; async: many outstanding; oneway: no replies")
      ->type_name("MODES")
      ->delimiter(',')
      ->transform(modes);
  command->add_option("--sizes", arguments.cases.sizes_bytes, "Bytes of a payload")
      ->type_name("BYTES")
      ->delimiter(',')
      ->check(CLI::Range(size_t{1}, kLargestBytes));
  command->add_option("--windows", arguments.cases.windows, "Calls outstanding in async")
      ->type_name("COUNTS")
      ->delimiter(',')
      ->check(CLI::Range(size_t{1}, kLargestWindow));
}

void AddRunOptions(CLI::App* command, MsgArguments& arguments) {
  constexpr uint32_t kMostRounds = 1000;
  constexpr uint32_t kLongestMs = 600'000;
  constexpr uint32_t kLongestSpinUs = 10'000;
  command->add_option("--rounds", arguments.rounds, "Rounds; figures are medians (default: 5)")
      ->type_name("N")
      ->check(CLI::Range(1u, kMostRounds));
  command
      ->add_option("--duration-ms", arguments.duration_ms,
                   "Measured time of each peer in each case of a round (default: 250; with "
                   "--beside-bulk, of each half: 500)")
      ->type_name("MS")
      ->check(CLI::Range(1u, kLongestMs));
  command
      ->add_option("--congestion", arguments.congestion,
                   "Congestion control of all peers' TCP connections (default: the system's)")
      ->type_name("NAME");
  command
      ->add_option("--spin-us", arguments.spin_us,
                   "How long peers that can look out before they sleep (default: 50; 0: never)")
      ->type_name("US")
      ->check(CLI::Range(0u, kLongestSpinUs));
  command->add_flag("--no-pin", arguments.no_pin, "Let the sides run on any core");
  command->add_flag("--quick", arguments.quick, "One round of fewer sizes: a look, in 20 s");
  command->add_option("--json", arguments.json, "Write all rows to this file")->type_name("FILE");
  command->add_option("--plot", arguments.plot, "Draw plots into this folder")->type_name("DIR");
  CLI::Option* vm = command->add_flag(
      "--vm", arguments.vm,
      "In two virtual machines, with the kernel module, TIPC and RDS among the peers");
  command
      ->add_flag("--icount", arguments.count_instructions,
                 "With --vm: in one machine, whose time is a count of instructions")
      ->needs(vm);
  command->add_option("--kernel", arguments.kernel, "Of the machines (default: 6.1)")
      ->check(CLI::IsMember({"6.1", "6.12"}))
      ->needs(vm);
  command->add_flag("--list-peers", arguments.list_peers, "List the peers, and what each needs");
}

void AddSoakOptions(CLI::App* command, MsgArguments& arguments) {
  constexpr uint32_t kMostPeers = 500;
  constexpr uint32_t kLongestSeconds = 86'400;
  CLI::Option* cut =
      command
          ->add_option("--cut", arguments.cut_ms,
                       "Clustix alone: reset connections under load, that often on average, and "
                       "check that everything arrives once and in order")
          ->type_name("TIME")
          ->transform(
              CLI::AsNumberWithUnit(std::map<std::string, uint32_t>{{"ms", 1}, {"s", 1000}}))
          ->check(CLI::PositiveNumber);
  CLI::Option* many =
      command
          ->add_option(
              "--peers-at-once", arguments.peers_at_once,
              "Clustix alone: calls to that many nodes at once, and what each of them gets")
          ->type_name("N")
          ->check(CLI::Range(1u, kMostPeers))
          ->excludes(cut);
  CLI::Option* bulk =
      command
          ->add_flag("--beside-bulk", arguments.beside_bulk,
                     "Clustix alone: small calls while a stream of 1 MiB messages runs to the same "
                     "node, and without it, in turns")
          ->excludes(cut)
          ->excludes(many);
  command
      ->add_option("--stall", arguments.stall_seconds,
                   "Clustix alone: a receiver that stops to read for that long, first on one lane, "
                   "then altogether: the sender's memory, what others get, and that everything "
                   "arrives once and in order (default: 60)")
      ->type_name("SECONDS")
      ->expected(0, 1)
      ->default_str("60")
      ->check(CLI::Range(1u, kLongestSeconds))
      ->excludes(cut)
      ->excludes(many)
      ->excludes(bulk);
  command
      ->add_option("--seconds", arguments.seconds,
                   "How long, with --cut (default: 60) and --peers-at-once (default: 5)")
      ->type_name("N")
      ->check(CLI::Range(1u, kLongestSeconds));
}

void AddBenchMsgCommand(CLI::App& bench, Context& context) {
  auto arguments = std::make_shared<MsgArguments>();
  CLI::App* command = bench.add_subcommand("msg", "Messages between two processes");
  command->footer(
      "Every peer is measured by the same code, in rounds in which all take turns; the server runs "
      "on one core,\nthe client on another. Without options: 3 minutes.\n"
      "Examples:\n"
      "  clustix bench msg --quick\n"
      "  clustix bench msg --peers clustix,raw-spin,grpc --modes sync --sizes 64 --rounds 9\n"
      "  clustix bench msg --peers all --json run.json --plot plots\n"
      "  clustix bench msg --cut 100ms --seconds 10\n"
      "  clustix bench msg --peers-at-once 64\n"
      "  clustix bench msg --beside-bulk\n"
      "  clustix bench msg --stall 10\n"
      "  clustix bench msg --vm\n"
      "  clustix bench msg --vm --icount");
  AddCaseOptions(command, *arguments);
  AddRunOptions(command, *arguments);
  AddSoakOptions(command, *arguments);
  command->callback([&context, arguments, command] {
    if (command->count("--seconds") > 0 && arguments->cut_ms == 0 &&
        arguments->peers_at_once == 0) {
      throw CLI::ValidationError("--seconds", "goes with --cut or --peers-at-once");
    }
    if (arguments->vm && arguments->is_soak()) {
      throw CLI::ValidationError("--vm",
                                 "goes with none of --cut, --peers-at-once, --beside-bulk "
                                 "and --stall");
    }
    if (arguments->quick) MakeQuick(*command, *arguments);
    if (arguments->vm) MakeForMachines(*command, *arguments);
    if (arguments->beside_bulk && command->count("--duration-ms") == 0) {
      arguments->duration_ms = kBesideBulkMs;
    }
    context.run = [&context, arguments] { return RunBenchMsg(*arguments, context.command_line); };
  });
}

}  // namespace

void AddBenchCommand(CLI::App& app, Context& context) {
  CLI::App* bench = app.add_subcommand("bench", "Measure Clustix beside others on this machine");
  bench->require_subcommand(1);
  AddBenchKddmCommand(*bench, context);
  AddBenchMsgCommand(*bench, context);
  AddBenchPlotCommand(*bench, context);
  AddBenchProcCommand(*bench, context);
  AddBenchShowCommand(*bench, context);
}

}  // namespace clustix::command
