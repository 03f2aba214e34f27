// SPDX-License-Identifier: Apache-2.0
//
// Calls to many nodes at once from one process: does every one of them get its share?
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/soak_client.h"
#include "tests/bench/msg/soak_stream.h"

namespace clustix::bench {
namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr uint64_t kWarmupNs = 300 * kMillisecondNs;
constexpr double kSettleSeconds = 30;

// The calls to one node.
class Caller {
 public:
  Caller(SoakClient& client, NodeId to, Bytes payload, size_t window, uint64_t begin_ns,
         uint64_t end_ns)
      : client_(client),
        to_(to),
        payload_(payload),
        window_(window),
        begin_ns_(begin_ns),
        end_ns_(end_ns) {}

  void Pump() {
    while (outstanding_ < window_ && NowNs() < end_ns_ && failure_ == Outcome::kOk) {
      const uint64_t sent_ns = NowNs();
      const Outcome outcome = client_.messenger().Call(
          to_, kSoakCallPort, payload_, {.timeout_ms = 0},
          [this, sent_ns](const Reply& reply) { Answered(reply, sent_ns); });
      if (outcome == Outcome::kBusy) return;
      if (outcome != Outcome::kOk) {
        failure_ = outcome;
        return;
      }
      ++outstanding_;
    }
  }
  NodeId to() const { return to_; }
  bool idle() const { return outstanding_ == 0; }
  Outcome failure() const { return failure_; }
  const Histogram& latency() const { return latency_; }

 private:
  void Answered(const Reply& reply, uint64_t sent_ns) {
    --outstanding_;
    if (reply.outcome != Outcome::kOk) failure_ = reply.outcome;
    const uint64_t now_ns = NowNs();
    if (now_ns >= begin_ns_ && now_ns < end_ns_) latency_.Add(now_ns - sent_ns);
    Pump();
    if (outstanding_ == 0) client_.io().Stop();
  }

  SoakClient& client_;
  const NodeId to_;
  const Bytes payload_;
  const size_t window_;
  const uint64_t begin_ns_, end_ns_;
  size_t outstanding_ = 0;
  Outcome failure_ = Outcome::kOk;
  Histogram latency_;
};

}  // namespace

absl::Status RunMany(const PeerOptions& options, const std::vector<std::string>& addresses,
                     size_t size_bytes, size_t window, uint32_t duration_ms) {
  ASSIGN_OR_RETURN(std::unique_ptr<SoakClient> client, SoakClient::Connect(options, addresses));
  StreamMaker maker(1);
  const Bytes payload = maker.Make(0, size_bytes);
  const uint64_t begin_ns = NowNs() + kWarmupNs;
  const uint64_t end_ns = begin_ns + duration_ms * kMillisecondNs;
  std::vector<std::unique_ptr<Caller>> callers;
  for (NodeId node : client->servers()) {
    callers.push_back(std::make_unique<Caller>(*client, node, payload, window, begin_ns, end_ns));
  }
  client->messenger().OnWritable([&callers](NodeId node, Lane) {
    for (auto& caller : callers) {
      if (caller->to() == node) caller->Pump();
    }
  });
  client->io().loop().Post([&callers] {
    for (auto& caller : callers) caller->Pump();
  });
  const double patience_seconds =
      static_cast<double>(kWarmupNs) / 1e9 + duration_ms / 1e3 + kSettleSeconds;
  const bool finished = client->RunUntil(
      [&callers, end_ns] {
        if (NowNs() < end_ns) return false;
        for (auto& caller : callers) {
          if (!caller->idle()) return false;
        }
        return true;
      },
      patience_seconds);
  nlohmann::json nodes = nlohmann::json::array();
  absl::Status status = absl::OkStatus();
  for (auto& caller : callers) {
    if (caller->failure() != Outcome::kOk) {
      status = absl::UnavailableError(absl::StrCat("calls to node ", caller->to(),
                                                   " failed: ", OutcomeName(caller->failure())));
    }
    const Histogram& latency = caller->latency();
    nodes.push_back({{"node", caller->to()},
                     {"msgs_per_s", static_cast<double>(latency.total()) / (duration_ms / 1e3)},
                     {"p50_us", static_cast<double>(latency.Percentile(0.50)) / 1e3},
                     {"p99_us", static_cast<double>(latency.Percentile(0.99)) / 1e3}});
  }
  client.reset();
  RETURN_IF_ERROR(status);
  if (!finished) return absl::DeadlineExceededError("calls were not answered in time");
  std::printf("%s\n",
              nlohmann::json({{"seconds", duration_ms / 1e3}, {"nodes", nodes}}).dump().c_str());
  return absl::OkStatus();
}

}  // namespace clustix::bench
