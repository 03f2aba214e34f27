// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/soak.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "daemon/bench/child.h"
#include "daemon/bench/machine.h"
#include "daemon/bench/peers.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr const char* kProgram = "soak";
constexpr std::chrono::seconds kStartPatience{15};
constexpr std::chrono::seconds kStopPatience{5};
// To connect, to settle, and to ask what arrived.
constexpr std::chrono::seconds kRunPatience{90};

std::vector<std::string> SharedOptions(const SoakPlan& plan) {
  std::vector<std::string> options = {"--spin-us", std::to_string(plan.spin_us)};
  if (!plan.congestion.empty()) {
    options.insert(options.end(), {"--congestion", plan.congestion});
  }
  return options;
}

// The line that the client prints.
absl::StatusOr<std::string> RunSoak(const SoakPlan& plan, uint32_t nodes,
                                    std::vector<std::string> client_options, milliseconds time) {
  const std::vector<int> cores = UsableCores();
  const bool pin = plan.pin && cores.size() >= 2;
  ChildOptions server_options{.interrupt_fd = plan.interrupt_fd};
  ChildOptions client_child{.dies_with_parent = true, .interrupt_fd = plan.interrupt_fd};
  if (pin) {
    client_child.core = cores[0];
    server_options.core = cores[1];
  }
  const std::string program = ProgramOfPeer(kProgram);
  const std::vector<std::string> shared = SharedOptions(plan);
  std::vector<std::string> serve = {program,       "serve",   "--address",
                                    "127.0.0.1:0", "--nodes", std::to_string(nodes)};
  serve.insert(serve.end(), shared.begin(), shared.end());
  ASSIGN_OR_RETURN(std::unique_ptr<Child> server, Child::Start(serve, server_options));
  const absl::StatusOr<std::string> hello = server->ReadLine(cluster::After(kStartPatience));
  if (!hello.ok()) return base::WithContext(hello.status(), "the server");
  ASSIGN_OR_RETURN(const std::string addresses, ParseListening(*hello));

  std::vector<std::string> run = {program};
  run.insert(run.end(), client_options.begin(), client_options.end());
  run.insert(run.end(), {"--addresses", addresses});
  run.insert(run.end(), shared.begin(), shared.end());
  ASSIGN_OR_RETURN(std::unique_ptr<Child> client, Child::Start(run, client_child));
  const Deadline deadline = cluster::After(time + kRunPatience);
  absl::StatusOr<std::string> line = client->ReadLine(deadline);
  if (!line.ok()) return base::WithContext(line.status(), "the client");
  RETURN_IF_ERROR(base::WithContext(client->Finish(deadline), "the client, at its end"));
  RETURN_IF_ERROR(
      base::WithContext(server->Finish(cluster::After(kStopPatience)), "the server, at its end"));
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

}  // namespace

absl::StatusOr<CutResult> ParseCut(const std::string& line) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Wrong("JSON object");
  CutResult result;
  RETURN_IF_ERROR(Take(object, "cuts", result.cuts));
  RETURN_IF_ERROR(Take(object, "disconnects", result.disconnects));
  RETURN_IF_ERROR(Take(object, "resent", result.resent));
  RETURN_IF_ERROR(Take(object, "sent", result.sent));
  RETURN_IF_ERROR(Take(object, "lost", result.lost));
  RETURN_IF_ERROR(Take(object, "duplicated", result.duplicated));
  RETURN_IF_ERROR(Take(object, "reordered", result.reordered));
  RETURN_IF_ERROR(Take(object, "corrupt", result.corrupt));
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

absl::StatusOr<CutResult> RunCutSoak(const SoakPlan& plan, uint32_t cut_ms, uint32_t seconds) {
  ASSIGN_OR_RETURN(const std::string line, RunSoak(plan, 1,
                                                   {"cut", "--cut-ms", std::to_string(cut_ms),
                                                    "--seconds", std::to_string(seconds)},
                                                   milliseconds(uint64_t{seconds} * 1500)));
  return ParseCut(line);
}

absl::StatusOr<std::vector<NodeFigures>> RunManySoak(const SoakPlan& plan, uint32_t nodes,
                                                     uint32_t window, uint32_t duration_ms) {
  ASSIGN_OR_RETURN(const std::string line, RunSoak(plan, nodes,
                                                   {"many", "--window", std::to_string(window),
                                                    "--duration-ms", std::to_string(duration_ms)},
                                                   milliseconds(duration_ms)));
  return ParseMany(line, nodes);
}

}  // namespace clustix::bench
