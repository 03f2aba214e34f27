// SPDX-License-Identifier: Apache-2.0
//
// Calls to many nodes at once from one process: does every one of them get its share?
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/soak_sender.h"

namespace clustix::bench {
namespace {

constexpr double kWarmupSeconds = 0.3;
constexpr double kManySettleSeconds = 30;

using Callers = std::vector<std::unique_ptr<SoakSender>>;

// The figures of one node, of `seconds`.
nlohmann::json FiguresOf(const SoakSender& caller, const Histogram& latency, double seconds) {
  return {{"node", caller.traffic().to},
          {"msgs_per_s", static_cast<double>(latency.total()) / seconds},
          {"p50_us", static_cast<double>(latency.Percentile(0.50)) / 1e3},
          {"p99_us", static_cast<double>(latency.Percentile(0.99)) / 1e3}};
}

absl::Status CheckAnswers(const SoakSender& caller) {
  const StreamCounts answers = caller.answers();
  if (caller.failure() != Outcome::kOk) {
    return absl::UnavailableError(absl::StrCat("calls to node ", caller.traffic().to,
                                               " failed: ", OutcomeName(caller.failure())));
  }
  if (!caller.idle()) return absl::DeadlineExceededError("calls were not answered in time");
  if (LostOf(answers, caller.sent()) + answers.duplicated + answers.reordered + answers.corrupt >
      0) {
    return absl::DataLossError(
        absl::StrCat("node ", caller.traffic().to, " did not answer what it was asked"));
  }
  return absl::OkStatus();
}

absl::StatusOr<nlohmann::json> Measure(SoakClient& client, const Callers& callers, double seconds) {
  client.messenger().OnWritable([&callers](NodeId node, Lane) {
    for (auto& caller : callers) {
      if (caller->traffic().to == node) caller->Pump();
    }
  });
  client.io().loop().Post([&callers] {
    for (auto& caller : callers) caller->Pump();
  });
  client.RunFor(kWarmupSeconds);
  for (auto& caller : callers) caller->TakeLatency();
  const uint64_t begin_ns = NowNs();
  client.RunFor(seconds);
  const double measured_seconds = static_cast<double>(NowNs() - begin_ns) / 1e9;
  nlohmann::json nodes = nlohmann::json::array();
  for (auto& caller : callers) {
    nodes.push_back(FiguresOf(*caller, caller->TakeLatency(), measured_seconds));
    caller->Stop();
  }
  client.RunUntil(
      [&callers] {
        return std::all_of(callers.begin(), callers.end(), [](auto& c) { return c->idle(); });
      },
      kManySettleSeconds);
  for (auto& caller : callers) RETURN_IF_ERROR(CheckAnswers(*caller));
  return nlohmann::json({{"seconds", measured_seconds}, {"nodes", nodes}});
}

}  // namespace

absl::Status RunMany(const PeerOptions& options, const std::vector<std::string>& addresses,
                     size_t size_bytes, size_t window, uint32_t duration_ms) {
  ASSIGN_OR_RETURN(std::unique_ptr<SoakClient> client, SoakClient::Connect(options, addresses));
  Callers callers;
  for (NodeId node : client->servers()) {
    callers.push_back(std::make_unique<SoakSender>(
        *client,
        SoakTraffic{
            .to = node, .least_bytes = size_bytes, .most_bytes = size_bytes, .window = window}));
  }
  const absl::StatusOr<nlohmann::json> result = Measure(*client, callers, duration_ms / 1e3);
  // Callbacks of what is still in flight run while the messenger ends, and name the callers.
  client.reset();
  RETURN_IF_ERROR(result.status());
  std::printf("%s\n", result->dump().c_str());
  return absl::OkStatus();
}

}  // namespace clustix::bench
