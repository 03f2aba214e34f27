// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/soak.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/bench/child.h"
#include "daemon/bench/machine.h"
#include "daemon/bench/peers.h"
#include "daemon/bench/row.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr const char* kSoak = "soak";
constexpr std::chrono::seconds kSoakStartPatience{15};
constexpr std::chrono::seconds kSoakStopPatience{5};
// To connect, to settle, and to ask what arrived.
constexpr std::chrono::seconds kSoakPatience{90};

std::vector<std::string> SharedOptions(const SoakPlan& plan) {
  std::vector<std::string> options = {"--spin-us", std::to_string(plan.spin_us)};
  if (!plan.congestion.empty()) {
    options.insert(options.end(), {"--congestion", plan.congestion});
  }
  return options;
}

// One measurement.
struct Setup {
  std::vector<uint32_t> nodes;      // of each server; a process of its own for each
  std::vector<std::string> client;  // its command and options
  milliseconds time;                // that it measures
  bool tell_pid = false;            // of the first server, so that the client can stop it
};

class Servers {
 public:
  absl::Status Start(const SoakPlan& plan, const Setup& setup, const ChildOptions& options) {
    uint32_t first_node = 2;  // the client is node 1
    for (uint32_t nodes : setup.nodes) {
      std::vector<std::string> argv = {ProgramOfPeer(kSoak),
                                       "serve",
                                       "--address",
                                       "127.0.0.1:0",
                                       "--nodes",
                                       std::to_string(nodes),
                                       "--first-node",
                                       std::to_string(first_node)};
      first_node += nodes;
      const std::vector<std::string> shared = SharedOptions(plan);
      argv.insert(argv.end(), shared.begin(), shared.end());
      ASSIGN_OR_RETURN(children_.emplace_back(), Child::Start(argv, options));
      const absl::StatusOr<std::string> hello =
          children_.back()->ReadLine(cluster::After(kSoakStartPatience));
      if (!hello.ok()) return base::WithContext(hello.status(), "the server");
      ASSIGN_OR_RETURN(const std::string addresses, ParseListening(*hello));
      absl::StrAppend(&addresses_, addresses_.empty() ? "" : ",", addresses);
    }
    return absl::OkStatus();
  }
  absl::Status Finish() {
    for (const std::unique_ptr<Child>& child : children_) {
      RETURN_IF_ERROR(child->Finish(cluster::After(kSoakStopPatience)));
    }
    return absl::OkStatus();
  }
  const std::string& addresses() const { return addresses_; }
  pid_t first_pid() const { return children_.front()->pid(); }

 private:
  std::vector<std::unique_ptr<Child>> children_;
  std::string addresses_;
};

// The line that the client prints.
absl::StatusOr<std::string> RunSoak(const SoakPlan& plan, const Setup& setup) {
  const KnownPeer itself{.name = kSoak, .title = "", .by_default = true, .packages = ""};
  if (!IsBuilt(itself)) return absl::FailedPreconditionError(HowToBuild(itself));
  const std::vector<int> cores = UsableCores();
  // A server that is stopped would not see its stdin end.
  ChildOptions server_options{.dies_with_parent = setup.tell_pid,
                              .interrupt_fd = plan.interrupt_fd};
  ChildOptions client_options{.dies_with_parent = true, .interrupt_fd = plan.interrupt_fd};
  if (plan.pin && cores.size() >= 2) {
    client_options.core = cores[0];
    server_options.core = cores[1];
  }
  Servers servers;
  RETURN_IF_ERROR(servers.Start(plan, setup, server_options));
  std::vector<std::string> argv = {ProgramOfPeer(kSoak)};
  argv.insert(argv.end(), setup.client.begin(), setup.client.end());
  argv.insert(argv.end(), {"--addresses", servers.addresses()});
  if (setup.tell_pid) {
    argv.insert(argv.end(), {"--stalled-pid", std::to_string(servers.first_pid())});
  }
  const std::vector<std::string> shared = SharedOptions(plan);
  argv.insert(argv.end(), shared.begin(), shared.end());
  ASSIGN_OR_RETURN(std::unique_ptr<Child> client, Child::Start(argv, client_options));
  const Deadline deadline = cluster::After(setup.time + kSoakPatience);
  absl::StatusOr<std::string> line = client->ReadLine(deadline);
  if (!line.ok()) return base::WithContext(line.status(), "the client");
  RETURN_IF_ERROR(base::WithContext(client->Finish(deadline), "the client, at its end"));
  RETURN_IF_ERROR(base::WithContext(servers.Finish(), "the server, at its end"));
  return line;
}

absl::Status Wrong(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("the output of bench-msg-soak has no ", what));
}

absl::Status Take(const json& object, const char* key, uint64_t& to) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_number_unsigned()) return Wrong(key);
  to = field->get<uint64_t>();
  return absl::OkStatus();
}

absl::Status Take(const json& object, const char* key, double& to) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_number() || field->get<double>() < 0) return Wrong(key);
  to = field->get<double>();
  return absl::OkStatus();
}

absl::Status Take(const json& object, DeliveryCounts& to) {
  RETURN_IF_ERROR(Take(object, "sent", to.sent));
  RETURN_IF_ERROR(Take(object, "lost", to.lost));
  RETURN_IF_ERROR(Take(object, "duplicated", to.duplicated));
  RETURN_IF_ERROR(Take(object, "reordered", to.reordered));
  return Take(object, "corrupt", to.corrupt);
}

// The list under `key`, of objects.
absl::StatusOr<json> ListOf(const json& object, const char* key) {
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return Wrong(key);
  for (const json& entry : *list) {
    if (!entry.is_object()) return Wrong(key);
  }
  return *list;
}

}  // namespace

absl::StatusOr<CutResult> ParseCut(const std::string& line) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Wrong("JSON object");
  CutResult result;
  RETURN_IF_ERROR(Take(object, "cuts", result.cuts));
  RETURN_IF_ERROR(Take(object, "disconnects", result.disconnects));
  RETURN_IF_ERROR(Take(object, "resent", result.resent));
  RETURN_IF_ERROR(Take(object, result.counts));
  RETURN_IF_ERROR(Take(object, "cut_msgs_per_s", result.cut_msgs_per_s));
  RETURN_IF_ERROR(Take(object, "uncut_msgs_per_s", result.uncut_msgs_per_s));
  return result;
}

absl::StatusOr<std::vector<NodeFigures>> ParseMany(const std::string& line, uint32_t nodes) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Wrong("JSON object");
  const auto list = object.find("nodes");
  if (list == object.end() || !list->is_array()) return Wrong("list of nodes");
  if (list->size() != nodes) return Wrong("entry for each node");
  std::vector<NodeFigures> figures;
  for (const json& entry : *list) {
    if (!entry.is_object()) return Wrong("object for each node");
    NodeFigures& node = figures.emplace_back();
    RETURN_IF_ERROR(Take(entry, "node", node.node));
    RETURN_IF_ERROR(Take(entry, "msgs_per_s", node.msgs_per_s));
    RETURN_IF_ERROR(Take(entry, "p50_us", node.p50_us));
    RETURN_IF_ERROR(Take(entry, "p99_us", node.p99_us));
  }
  return figures;
}

absl::StatusOr<BulkResult> ParseBulk(const std::string& line) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Wrong("JSON object");
  constexpr std::pair<const char*, double BulkResult::*> kFigures[] = {
      {"idle_p50_us", &BulkResult::idle_p50_us},
      {"idle_p99_us", &BulkResult::idle_p99_us},
      {"beside_p50_us", &BulkResult::beside_p50_us},
      {"beside_p99_us", &BulkResult::beside_p99_us},
      {"mb_per_s", &BulkResult::mb_per_s}};
  BulkResult result;
  ASSIGN_OR_RETURN(const json rounds, ListOf(object, "rounds"));
  if (rounds.empty()) return Wrong("rounds");
  for (const auto& [key, figure] : kFigures) {
    std::vector<double> values;
    for (const json& round : rounds) {
      RETURN_IF_ERROR(Take(round, key, values.emplace_back()));
    }
    result.*figure = Median(std::move(values));
  }
  RETURN_IF_ERROR(Take(object, "streamed", result.streamed));
  RETURN_IF_ERROR(Take(object, result.counts));
  return result;
}

absl::StatusOr<StallResult> ParseStall(const std::string& line) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Wrong("JSON object");
  StallResult result;
  RETURN_IF_ERROR(Take(object, "stalled_s", result.stalled_s));
  RETURN_IF_ERROR(Take(object, "accepted_stalled", result.accepted_stalled));
  RETURN_IF_ERROR(Take(object, "limit_bytes", result.limit_bytes));
  RETURN_IF_ERROR(Take(object, "queue_most_bytes", result.queue_most_bytes));
  RETURN_IF_ERROR(Take(object, "rss_before_bytes", result.rss_before_bytes));
  RETURN_IF_ERROR(Take(object, "rss_most_bytes", result.rss_most_bytes));
  RETURN_IF_ERROR(Take(object, "resumed_s", result.resumed_s));
  RETURN_IF_ERROR(Take(object, result.counts));
  ASSIGN_OR_RETURN(const json watched, ListOf(object, "watched"));
  for (const json& entry : watched) {
    WatchedCalls& calls = result.watched.emplace_back();
    RETURN_IF_ERROR(Take(entry, "node", calls.node));
    RETURN_IF_ERROR(Take(entry, "before_per_s", calls.before_per_s));
    RETURN_IF_ERROR(Take(entry, "before_p99_us", calls.before_p99_us));
    RETURN_IF_ERROR(Take(entry, "stalled_per_s", calls.stalled_per_s));
    RETURN_IF_ERROR(Take(entry, "stalled_p99_us", calls.stalled_p99_us));
    RETURN_IF_ERROR(Take(entry, "slowest_per_s", calls.slowest_per_s));
  }
  if (result.watched.empty()) return Wrong("watched calls");
  return result;
}

std::vector<std::string> Complaints(const StallResult& result) {
  constexpr double kLeastShare = 0.1;
  std::vector<std::string> complaints;
  // Otherwise nothing was tested.
  if (result.accepted_stalled > 0) complaints.push_back("the receiver did not stand still");
  if (result.queue_most_bytes > result.limit_bytes) {
    complaints.push_back("the queues to the stalled node exceeded their limit");
  }
  // The queues may all be filled in this time, and what is kept for each message as much again.
  if (result.rss_most_bytes > result.rss_before_bytes + 2 * result.limit_bytes) {
    complaints.push_back("the sender's memory grew by more than twice the limit of the queues");
  }
  for (const WatchedCalls& calls : result.watched) {
    if (!(calls.before_per_s > 0) || calls.stalled_per_s < kLeastShare * calls.before_per_s) {
      complaints.push_back(
          absl::StrCat("node ", calls.node, " got less than a tenth of its calls"));
    }
  }
  if (!result.counts.clean()) {
    complaints.push_back("messages did not arrive exactly once, in order and unchanged");
  }
  return complaints;
}

absl::StatusOr<CutResult> RunCutSoak(const SoakPlan& plan, uint32_t cut_ms, uint32_t seconds) {
  ASSIGN_OR_RETURN(const std::string line,
                   RunSoak(plan, {.nodes = {1},
                                  .client = {"cut", "--cut-ms", std::to_string(cut_ms), "--seconds",
                                             std::to_string(seconds)},
                                  .time = milliseconds(uint64_t{seconds} * 1500)}));
  return ParseCut(line);
}

absl::StatusOr<std::vector<NodeFigures>> RunManySoak(const SoakPlan& plan, uint32_t nodes,
                                                     uint32_t window, uint32_t duration_ms) {
  ASSIGN_OR_RETURN(const std::string line,
                   RunSoak(plan, {.nodes = {nodes},
                                  .client = {"many", "--window", std::to_string(window),
                                             "--duration-ms", std::to_string(duration_ms)},
                                  .time = milliseconds(duration_ms)}));
  return ParseMany(line, nodes);
}

absl::StatusOr<BulkResult> RunBulkSoak(const SoakPlan& plan, uint32_t rounds,
                                       uint32_t duration_ms) {
  ASSIGN_OR_RETURN(const std::string line,
                   RunSoak(plan, {.nodes = {1},
                                  .client = {"bulk", "--rounds", std::to_string(rounds),
                                             "--duration-ms", std::to_string(duration_ms)},
                                  .time = milliseconds(uint64_t{rounds} * duration_ms * 3)}));
  return ParseBulk(line);
}

absl::StatusOr<StallResult> RunStallSoak(const SoakPlan& plan, StallKind kind, uint32_t seconds) {
  constexpr uint32_t kOthers = 2;
  const char* name = kind == StallKind::kHold ? "hold" : "stop";
  ASSIGN_OR_RETURN(
      const std::string line,
      RunSoak(plan, {.nodes = {1, kOthers},
                     .client = {"stall", "--kind", name, "--seconds", std::to_string(seconds)},
                     .time = milliseconds(uint64_t{seconds} * 1500),
                     .tell_pid = true}));
  return ParseStall(line);
}

}  // namespace clustix::bench
