// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/kddm_runner.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/bench/child.h"
#include "daemon/bench/machine.h"
#include "daemon/bench/peers.h"
#include "daemon/bench/private_cluster.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

constexpr const char* kBenchKddm = "bench-kddm";
constexpr int kNodes = 4;
// Between two lines of the program.
constexpr std::chrono::seconds kLinePatience{60};

std::vector<std::string> CommandLine(const KddmPlan& plan,
                                     const std::vector<std::string>& sockets) {
  std::vector<std::string> argv = {ProgramBeside(kBenchKddm), "--sockets",
                                   absl::StrJoin(sockets, ","), "--rounds",
                                   std::to_string(plan.rounds)};
  if (plan.quick) {
    argv.insert(argv.end(),
                {"--duration-ms", "20", "--samples", "10", "--objects", "4096", "--many", "256"});
  }
  return argv;
}

// Until it says that this was all.
absl::Status Collect(Child& program, const std::function<void(const KddmNext&)>& next,
                     std::vector<KddmRow>& rows, std::vector<double>& loads) {
  while (true) {
    const absl::StatusOr<std::string> text = program.ReadLine(cluster::After(kLinePatience));
    RETURN_IF_ERROR(text.status());
    ASSIGN_OR_RETURN(KddmLine line, ParseKddmLine(*text));
    if (line.next) {
      loads.push_back(LoadAverage());
      next(*line.next);
    }
    if (line.end) return program.Finish(cluster::After(kLinePatience));
    if (line.row) rows.push_back(*std::move(line.row));
  }
}

}  // namespace

KddmResult RunKddm(const KddmPlan& plan, const std::function<void(const KddmNext&)>& next) {
  KddmResult result;
  if (access(ProgramBeside(kBenchKddm).c_str(), X_OK) != 0) {
    result.status = absl::FailedPreconditionError(
        absl::StrCat(kBenchKddm, " is not built (run: ./up --bench-peers)"));
    return result;
  }
  next({.what = "starting a cluster", .done = 0, .total = 1});
  absl::StatusOr<std::unique_ptr<PrivateCluster>> cluster =
      PrivateCluster::Start(kNodes, plan.interrupt_fd);
  if (!cluster.ok()) {
    result.status = cluster.status();
    return result;
  }
  std::vector<KddmRow> rows;
  std::vector<double> loads;
  absl::StatusOr<std::unique_ptr<Child>> program =
      Child::Start(CommandLine(plan, (*cluster)->Sockets()),
                   {.dies_with_parent = true, .interrupt_fd = plan.interrupt_fd});
  result.status = program.ok() ? Collect(**program, next, rows, loads) : program.status();
  if (program.ok()) program->reset();  // if it still runs, before its daemons end
  const absl::Status ended = (*cluster)->End();
  if (result.status.ok()) result.status = ended;
  result.rows = CombineKddm(rows);
  result.loadavg = Median(std::move(loads));
  return result;
}

}  // namespace clustix::bench
