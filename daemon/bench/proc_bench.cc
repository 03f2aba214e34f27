// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/proc_bench.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/bench/machine.h"
#include "daemon/bench/peers.h"
#include "daemon/bench/station.h"
#include "daemon/cluster/files.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/mounts.h"
#include "daemon/cluster/process.h"
#include "daemon/cluster/scan.h"
#include "lib/base/status.h"
#include "lib/procview/global_pid.h"

namespace clustix::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kStationPatience{60};
// A daemon that was asked goes on telling others of births for a while: docs/PROC.md.
constexpr seconds kUntilIdle{4};
constexpr char kPassthrough[] = "/run/passthrough";
constexpr int kWatcher = 1, kWatched = 2;  // nodes

// Lets time pass, which is what is measured: no event tells of it, nor of what a file system shows.
void Pass(milliseconds time) { poll(nullptr, 0, static_cast<int>(time.count())); }

void Progress(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

// The exit of a tool is what counts; what it printed, in lines.
absl::Status CountLines(const std::vector<std::string>& argv, Station::Result* result) {
  result->began_ns = MonotonicNs();
  ASSIGN_OR_RETURN(const cluster::ToolResult tool, cluster::RunTool(argv, ""));
  result->ended_ns = MonotonicNs();
  if (tool.status != 0) {
    return absl::UnavailableError(
        absl::StrCat(argv[0], " ", cluster::DescribeExit(tool.status), ": ", tool.errors));
  }
  result->value = std::count(tool.output.begin(), tool.output.end(), '\n');
  return absl::OkStatus();
}

Station::Work Runs(std::vector<std::string> argv) {
  return
      [argv = std::move(argv)](char, Station::Result* result) { return CountLines(argv, result); };
}

// Ends with its parent. Never returns.
[[noreturn]] void Sleep() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "sleeper");
  for (;;) pause();
}

// The work of a crowd: `count` processes more.
Station::Work Begets(int count) {
  return [count](char, Station::Result* result) -> absl::Status {
    for (; result->value < count; ++result->value) {
      const pid_t child = fork();
      if (child < 0) return base::ErrnoStatus(errno, "cannot fork");
      if (child == 0) Sleep();
    }
    return absl::OkStatus();
  };
}

// Of the one whose births and exits are watched.
constexpr char kBear = 'b', kEnd = 'e';

Station::Work BearsAndEnds() {
  return [child = pid_t{0}](char order, Station::Result* result) mutable -> absl::Status {
    result->began_ns = MonotonicNs();
    if (order == kBear) {
      child = fork();
      if (child < 0) return base::ErrnoStatus(errno, "cannot fork");
      if (child == 0) Sleep();
    } else {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    result->ended_ns = MonotonicNs();
    result->value = child;
    return absl::OkStatus();
  };
}

absl::StatusOr<bool> Lists(const std::string& directory, const std::string& name) {
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) return base::ErrnoStatus(errno, "cannot list " + directory);
  bool found = false;
  while (const dirent* entry = readdir(stream)) found = found || name == entry->d_name;
  closedir(stream);
  return found;
}

class ProcBench {
 public:
  explicit ProcBench(const ProcBenchOptions& options)
      : options_(options), layout_("/run/clustix-bench") {
    run_.machine = DescribeMachine("");
    run_.date = DateNow();
    run_.command_line = options.command_line;
    run_.nodes = options.nodes;
    run_.processes = options.processes;
  }

  absl::StatusOr<ProcRun> Run() {
    Progress(absl::StrCat("starting ", options_.nodes, " nodes with ", options_.processes,
                          " processes more on each"));
    RETURN_IF_ERROR(StartCluster());
    RETURN_IF_ERROR(StartCrowds());
    RETURN_IF_ERROR(StartWays());
    RETURN_IF_ERROR(MeasureWays());
    RETURN_IF_ERROR(MeasureLags());
    RETURN_IF_ERROR(MeasureIdle());
    return std::move(run_);
  }

 private:
  struct Way {
    ListingWay result;
    std::vector<Station*> stations;  // all of which work at once
  };

  absl::Status StartCluster() {
    ASSIGN_OR_RETURN(
        const cluster::ToolResult up,
        cluster::RunTool({cluster::OwnProgram(), "up", "--quiet", "--nodes",
                          std::to_string(options_.nodes), "--base-dir", layout_.base()},
                         ""));
    if (up.status != 0) return absl::UnavailableError("clustix up failed: " + up.errors);
    for (const cluster::NodeProcess& node : cluster::Scan(layout_).nodes) {
      if (node.mode != cluster::Mode::kNamespaces) {
        return absl::FailedPreconditionError("nodes cannot have namespaces here: " + up.output);
      }
      nodes_[node.node] = node.process;
    }
    return absl::OkStatus();
  }

  // Into the PID and the mount namespace of a node.
  Station::Step EnterNode(int node) {
    const cluster::ProcessId process = nodes_[node];
    return [process]() -> absl::Status {
      ASSIGN_OR_RETURN(const base::UniqueFd pidfd, cluster::OpenProcess(process));
      if (setns(pidfd.get(), CLONE_NEWPID | CLONE_NEWNS) == 0) return absl::OkStatus();
      return base::ErrnoStatus(errno, "cannot enter a node");
    };
  }

  absl::StatusOr<Station*> Open(const Station::Step& enter, const Station::Step& settle,
                                const Station::Work& work) {
    ASSIGN_OR_RETURN(std::unique_ptr<Station> station, Station::Start(enter, settle, work));
    stations_.push_back(std::move(station));
    return stations_.back().get();
  }

  absl::StatusOr<Station::Result> Do(Station* station, char order) {
    RETURN_IF_ERROR(station->Tell(order));
    return station->Await(cluster::After(kStationPatience));
  }

  absl::Status StartCrowds() {
    for (const auto& [node, process] : nodes_) {
      ASSIGN_OR_RETURN(Station * crowd, Open(EnterNode(node), nullptr, Begets(options_.processes)));
      RETURN_IF_ERROR(Do(crowd, kBear).status());
    }
    return absl::OkStatus();
  }

  absl::Status StartWays() {
    const std::vector<std::string> ps = {"ps", "-ef"};
    ASSIGN_OR_RETURN(Station * plain, Open(nullptr, nullptr, Runs(ps)));
    AddWay(kWayPlain, {plain});
    const cluster::View view = {layout_.NodeDir(kWatcher), layout_.ProcMount(kWatcher),
                                layout_.LocalProc()};
    ASSIGN_OR_RETURN(Station * on_view, Open(
                                            EnterNode(kWatcher),
                                            [view] { return cluster::CoverProc(view); }, Runs(ps)));
    AddWay(kWayView, {on_view});
    std::vector<Station*> on_nodes;
    for (const auto& [node, process] : nodes_) {
      ASSIGN_OR_RETURN(Station * on_node, Open(EnterNode(node), nullptr, Runs(ps)));
      on_nodes.push_back(on_node);
    }
    AddWay(kWayCollect, on_nodes);
    RETURN_IF_ERROR(StartPassthrough());
    ASSIGN_OR_RETURN(
        Station * ours,
        Open(nullptr, nullptr,
             Runs({cluster::OwnProgram(), "--socket", layout_.Socket(kWatcher), "ps", "-ef"})));
    AddWay(kWayOurs, {ours});
    return absl::OkStatus();
  }

  void AddWay(std::string_view name, std::vector<Station*> stations) {
    ways_.push_back({{std::string(name)}, std::move(stations)});
  }

  // Left out where it is not built.
  absl::Status StartPassthrough() {
    const std::string program = ProgramBeside("bench-proc-fuse");
    if (access(program.c_str(), X_OK) != 0) {
      Progress(absl::StrCat("without the FUSE pass-through: there is no ", program));
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(cluster::MakeDirectory(kPassthrough, 0755));
    ASSIGN_OR_RETURN(const cluster::ToolResult mounted,
                     cluster::RunTool({program, "/proc", kPassthrough}, ""));
    if (mounted.status != 0) return absl::UnavailableError(mounted.errors);
    const auto cover = []() -> absl::Status {
      if (unshare(CLONE_NEWNS) == 0 &&
          mount(kPassthrough, "/proc", nullptr, MS_BIND, nullptr) == 0) {
        return absl::OkStatus();
      }
      return base::ErrnoStatus(errno, "cannot cover /proc by its pass-through");
    };
    ASSIGN_OR_RETURN(Station * through, Open(cover, nullptr, Runs({"ps", "-ef"})));
    AddWay(kWayFuse, {through});
    return absl::OkStatus();
  }

  absl::Status MeasureOnce(Way& way) {
    for (Station* station : way.stations) RETURN_IF_ERROR(station->Tell(kBear));
    int64_t began_ns = 0, ended_ns = 0, lines = 0;
    for (Station* station : way.stations) {
      ASSIGN_OR_RETURN(const Station::Result result,
                       station->Await(cluster::After(kStationPatience)));
      began_ns = began_ns == 0 ? result.began_ns : std::min(began_ns, result.began_ns);
      ended_ns = std::max(ended_ns, result.ended_ns);
      lines += result.value;
    }
    if (lines < int64_t{options_.nodes} * options_.processes) {
      return absl::DataLossError(
          absl::StrCat(way.result.name, " shows ", lines, " lines: processes are missing"));
    }
    const auto count = static_cast<uint64_t>(lines);
    way.result.lines = way.result.times_ms.empty() ? count : std::min(way.result.lines, count);
    way.result.times_ms.push_back(static_cast<double>(ended_ns - began_ns) / 1e6);
    return absl::OkStatus();
  }

  // Until it shows all processes that were started just before.
  absl::Status WarmUp(Way& way) {
    const cluster::Deadline deadline = cluster::After(kStationPatience);
    absl::Status status;
    do {
      status = MeasureOnce(way);
    } while (absl::IsDataLoss(status) && cluster::LeftMs(deadline) > 0);
    way.result.times_ms.clear();
    return base::WithContext(status, way.result.name);
  }

  absl::Status MeasureWays() {
    run_.loadavg = LoadAverage();
    for (Way& way : ways_) RETURN_IF_ERROR(WarmUp(way));
    for (int round = 1; round <= options_.rounds; ++round) {
      Progress(absl::StrCat("round ", round, " of ", options_.rounds));
      for (Way& way : ways_) {
        RETURN_IF_ERROR(base::WithContext(MeasureOnce(way), way.result.name));
      }
    }
    for (Way& way : ways_) run_.ways.push_back(std::move(way.result));
    return absl::OkStatus();
  }

  // Until the view shows a name, or does not any more.
  absl::StatusOr<int64_t> AwaitListed(const std::string& name, bool listed) {
    const cluster::Deadline deadline = cluster::After(kStationPatience);
    for (;;) {
      ASSIGN_OR_RETURN(const bool found, Lists(layout_.ProcMount(kWatcher), name));
      if (found == listed) return MonotonicNs();
      if (cluster::LeftMs(deadline) == 0) {
        return absl::DeadlineExceededError("a birth or exit never shows");
      }
      Pass(milliseconds(1));
    }
  }

  absl::StatusOr<double> MeasureLag(Station* station, char order) {
    ASSIGN_OR_RETURN(const Station::Result done, Do(station, order));
    const std::string name =
        std::to_string(procview::GlobalPid(kWatched, static_cast<int32_t>(done.value)));
    ASSIGN_OR_RETURN(const int64_t seen_ns, AwaitListed(name, order == kBear));
    return static_cast<double>(seen_ns - done.began_ns) / 1e6;
  }

  absl::Status MeasureLags() {
    Progress(absl::StrCat("watching ", options_.births, " births and exits of node ", kWatched,
                          " from node ", kWatcher));
    ASSIGN_OR_RETURN(Station * station, Open(EnterNode(kWatched), nullptr, BearsAndEnds()));
    Lag births = {"births"}, exits = {"exits"};
    // At any moment of whatever the daemons do at intervals.
    std::mt19937 random(1);
    std::uniform_int_distribution<int> pause_ms(0, 60);
    for (int i = 0; i < options_.births; ++i) {
      for (Lag* lag : {&births, &exits}) {
        Pass(milliseconds(pause_ms(random)));
        ASSIGN_OR_RETURN(const double ms, MeasureLag(station, lag == &births ? kBear : kEnd));
        lag->times_ms.push_back(ms);
      }
    }
    run_.lags = {std::move(births), std::move(exits)};
    return absl::OkStatus();
  }

  // The daemon of each node.
  std::map<int, pid_t> Daemons() {
    std::map<int, pid_t> daemons;
    for (const pid_t pid : cluster::ListPids()) {
      const std::vector<std::string> argv = cluster::CommandLine(pid);
      if (argv.empty() || !absl::EndsWith(argv[0], "clustixd")) continue;
      for (const auto& [node, process] : nodes_) {
        if (std::find(argv.begin(), argv.end(), layout_.NodeDir(node)) != argv.end()) {
          daemons[node] = pid;
        }
      }
    }
    return daemons;
  }

  // What all threads of a process have run for, in nanoseconds.
  absl::StatusOr<double> RanNs(pid_t pid) {
    const std::string tasks = absl::StrCat("/proc/", pid, "/task");
    DIR* stream = opendir(tasks.c_str());
    if (stream == nullptr) return base::ErrnoStatus(errno, "a daemon is gone");
    double ran_ns = 0;
    while (const dirent* entry = readdir(stream)) {
      if (entry->d_name[0] == '.') continue;
      const auto text = cluster::ReadFile(absl::StrCat(tasks, "/", entry->d_name, "/schedstat"));
      if (text.ok()) ran_ns += std::strtod(text->c_str(), nullptr);
    }
    closedir(stream);
    return ran_ns;
  }

  absl::Status MeasureIdle() {
    Progress(absl::StrCat("looking at nothing for ", options_.idle_s, " s"));
    const std::map<int, pid_t> daemons = Daemons();
    if (daemons.size() != nodes_.size()) return absl::NotFoundError("a daemon is missing");
    Pass(kUntilIdle);
    std::map<int, double> before_ns;
    const int64_t began_ns = MonotonicNs();
    for (const auto& [node, pid] : daemons) {
      ASSIGN_OR_RETURN(before_ns[node], RanNs(pid));
    }
    Pass(seconds(options_.idle_s));
    const auto passed_ns = static_cast<double>(MonotonicNs() - began_ns);
    for (const auto& [node, pid] : daemons) {
      ASSIGN_OR_RETURN(const double after_ns, RanNs(pid));
      run_.idle.push_back({node, (after_ns - before_ns[node]) / passed_ns * 100});
    }
    run_.idle_s = options_.idle_s;
    return absl::OkStatus();
  }

  const ProcBenchOptions options_;
  const cluster::Layout layout_;
  ProcRun run_;
  std::map<int, cluster::ProcessId> nodes_;  // their first processes
  std::vector<std::unique_ptr<Station>> stations_;
  std::vector<Way> ways_;
};

}  // namespace

absl::StatusOr<ProcRun> RunProcBench(const ProcBenchOptions& options) {
  return ProcBench(options).Run();
}

}  // namespace clustix::bench
