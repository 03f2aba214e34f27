// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/runner.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/bench/child.h"
#include "daemon/bench/machine.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

constexpr std::chrono::seconds kStartPatience{15};
constexpr std::chrono::seconds kStopPatience{5};
// What a run may take beyond its time: to start, to connect, and until everything outstanding has
// been answered.
constexpr std::chrono::seconds kRunPatience{30};
// Machines without help of the processor are that much slower.
constexpr int kSlowdown = 6;
constexpr uint32_t kMostFailures = 2;

std::chrono::milliseconds Slowed(const Plan& plan, std::chrono::milliseconds patience) {
  return plan.stage ? patience * kSlowdown : patience;
}

// A core for the client, and another one for the server.
struct Cores {
  std::optional<int> client, server;
};

Cores ChooseCores(bool pin) {
  const std::vector<int> usable = UsableCores();
  if (!pin || usable.size() < 2) return {};
  return {.client = usable[0], .server = usable[1]};
}

std::vector<std::string> SharedOptions(const Plan& plan, const std::string& address) {
  std::vector<std::string> options = {"--address", address, "--spin-us",
                                      std::to_string(plan.spin_us)};
  if (!plan.congestion.empty()) {
    options.insert(options.end(), {"--congestion", plan.congestion});
  }
  return options;
}

std::vector<std::string> CommandLine(std::vector<std::string> argv, const BuiltPeer& peer,
                                     const char* subcommand,
                                     const std::vector<std::string>& options) {
  argv.insert(argv.end(), {peer.program, subcommand});
  argv.insert(argv.end(), options.begin(), options.end());
  return argv;
}

absl::StatusOr<std::string> RunClient(const Plan& plan, const BuiltPeer& peer, const Case& test,
                                      const std::string& address, pid_t server,
                                      const Cores& cores) {
  std::vector<std::string> options = SharedOptions(plan, address);
  options.insert(options.end(), {"--mode", std::string(ModeName(test.mode)),         //
                                 "--size", std::to_string(test.size_bytes),          //
                                 "--window", std::to_string(test.window),            //
                                 "--duration-ms", std::to_string(plan.duration_ms),  //
                                 "--warmup-ms", std::to_string(plan.warmup_ms)});
  if (!plan.stage) options.insert(options.end(), {"--server-pid", std::to_string(server)});
  ASSIGN_OR_RETURN(
      std::unique_ptr<Child> client,
      Child::Start(
          CommandLine(plan.stage ? plan.stage->client : std::vector<std::string>(), peer, "run",
                      options),
          {.core = cores.client, .dies_with_parent = true, .interrupt_fd = plan.interrupt_fd}));
  const Deadline deadline = cluster::After(
      Slowed(plan, kRunPatience + std::chrono::milliseconds(plan.duration_ms + plan.warmup_ms)));
  ASSIGN_OR_RETURN(std::string line, client->ReadLine(deadline));
  RETURN_IF_ERROR(client->Finish(deadline));
  return line;
}

absl::StatusOr<Round> Measure(const Plan& plan, const BuiltPeer& peer, const Case& test) {
  const Cores cores = ChooseCores(plan.pin && !plan.stage);
  const double loadavg = LoadAverage();
  const Stage here{.server = {}, .client = {}, .server_address = "127.0.0.1:0", .server_node = {}};
  const Stage& stage = plan.stage ? *plan.stage : here;
  const std::string& any = peer.by_node ? stage.server_node : stage.server_address;
  ASSIGN_OR_RETURN(std::unique_ptr<Child> server,
                   Child::Start(CommandLine(stage.server, peer, "serve", SharedOptions(plan, any)),
                                {.core = cores.server, .interrupt_fd = plan.interrupt_fd}));
  const absl::StatusOr<std::string> hello =
      server->ReadLine(cluster::After(Slowed(plan, kStartPatience)));
  if (!hello.ok()) return base::WithContext(hello.status(), "the server");
  ASSIGN_OR_RETURN(const std::string address, ParseListening(*hello));
  absl::StatusOr<std::string> line = RunClient(plan, peer, test, address, server->pid(), cores);
  const absl::Status stopped = server->Finish(cluster::After(Slowed(plan, kStopPatience)));
  if (!line.ok()) return line.status();
  if (!stopped.ok()) return base::WithContext(stopped, "the server, at its end");
  ASSIGN_OR_RETURN(Round round, ParseRound(*line));
  round.loadavg = loadavg;
  return round;
}

bool Can(const BuiltPeer& peer, Mode mode) {
  const std::vector<Mode>& modes = peer.description.modes;
  return std::find(modes.begin(), modes.end(), mode) != modes.end();
}

struct Pair {
  const BuiltPeer* peer;
  Case test;
  std::vector<Round> rounds = {};
  uint32_t failures = 0;
};

}  // namespace

std::vector<Case> CasesOf(const CaseChoice& choice) {
  std::vector<Case> cases;
  for (Mode mode : choice.modes) {
    for (size_t size : choice.sizes_bytes) {
      if (mode != Mode::kAsync) {
        cases.push_back({mode, size, 1});
        continue;
      }
      for (size_t window : choice.windows) {
        if (window * size <= kMostOutstandingBytes) cases.push_back({mode, size, window});
      }
    }
  }
  return cases;
}

RunResult RunPlan(const Plan& plan, const std::function<void(const Step&)>& next,
                  const std::function<void(const Failure&)>& failed) {
  std::vector<Pair> pairs;
  for (const Case& test : plan.cases) {
    for (const BuiltPeer& peer : plan.peers) {
      if (Can(peer, test.mode)) pairs.push_back({&peer, test});
    }
  }
  RunResult result;
  size_t done = 0;
  for (uint32_t round = 0; round < plan.rounds && !result.interrupted; ++round) {
    for (Pair& pair : pairs) {
      const Step step{pair.peer, pair.test, round, done++, pairs.size() * plan.rounds};
      if (pair.failures >= kMostFailures) continue;
      next(step);
      absl::StatusOr<Round> measured = Measure(plan, *pair.peer, pair.test);
      if (measured.ok()) {
        pair.rounds.push_back(*std::move(measured));
        continue;
      }
      if (absl::IsCancelled(measured.status())) {
        result.interrupted = true;
        break;
      }
      ++pair.failures;
      result.failures.push_back({pair.peer->description.name, pair.test, round,
                                 std::string(measured.status().message())});
      failed(result.failures.back());
    }
  }
  for (const Pair& pair : pairs) {
    if (pair.rounds.empty()) continue;
    result.rows.push_back(Combine(pair.peer->description.name, pair.test, pair.rounds));
  }
  return result;
}

}  // namespace clustix::bench
