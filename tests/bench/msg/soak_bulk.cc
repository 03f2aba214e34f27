// SPDX-License-Identifier: Apache-2.0
//
// What two lanes are for: small calls on the control lane while a stream of 1 MiB messages, sent in
// place, fills the bulk lane to the same node. In rounds, each of a time without the stream and a
// time with it. Prints one line of JSON:
//
//   rounds      [{idle_p50_us, idle_p99_us, beside_p50_us, beside_p99_us, mb_per_s}, ...]
//   streamed    messages of the stream
//   sent, lost, duplicated, reordered, corrupt  of calls and of the stream
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/soak_sender.h"

namespace clustix::bench {
namespace {

using nlohmann::json;

constexpr size_t kStreamBytes = size_t{1} << 20;
// After the stream has begun or ended, until the loops' ways to wait have followed.
constexpr double kSettleSeconds = 0.1;
constexpr double kEndSeconds = 30;

// One-way messages of pages that are numbered, in memory that is used again when the messenger has
// done with it.
class PageStream {
 public:
  PageStream(SoakClient& client, NodeId to) : client_(client), to_(to) {}

  void Start() {
    stopped_ = false;
    client_.io().loop().Post([this] { Pump(); });
  }
  void Stop() { stopped_ = true; }
  // Until the queue is full.
  void Pump() {
    while (!stopped_) {
      if (free_.empty()) {
        free_.push_back(memory_.emplace_back(std::make_unique<Pages>()).get());
      }
      Pages* pages = free_.back();
      StampPages(*pages, sent_);
      const Outcome outcome =
          client_.messenger().SendInPlace(to_, kSoakPagesPort, *pages, Lane::kBulk,
                                          [this, pages](Outcome done) { Accepted(pages, done); });
      if (outcome == Outcome::kBusy) return;
      if (outcome != Outcome::kOk) {
        failure_ = outcome;
        stopped_ = true;
        return;
      }
      free_.pop_back();
      ++sent_;
    }
  }

  bool idle() const { return free_.size() == memory_.size(); }
  uint64_t sent() const { return sent_; }
  uint64_t accepted() const { return accepted_; }
  Outcome failure() const { return failure_; }

 private:
  using Pages = std::array<std::byte, kStreamBytes>;

  void Accepted(Pages* pages, Outcome outcome) {
    free_.push_back(pages);
    if (outcome == Outcome::kOk) {
      ++accepted_;
    } else {
      failure_ = outcome;
    }
    if (stopped_ && idle()) client_.io().Stop();
  }

  SoakClient& client_;
  const NodeId to_;
  std::vector<std::unique_ptr<Pages>> memory_;  // as many as the queue takes, and one
  std::vector<Pages*> free_;
  bool stopped_ = true;
  uint64_t sent_ = 0, accepted_ = 0;
  Outcome failure_ = Outcome::kOk;
};

class BulkSoak {
 public:
  explicit BulkSoak(SoakClient& client)
      : client_(client),
        stream_(client, client.servers()[0]),
        caller_(client, {.to = client.servers()[0],
                         .least_bytes = kSoakCallBytes,
                         .most_bytes = kSoakCallBytes,
                         .window = 1}) {
    client.messenger().OnWritable([this](NodeId, Lane lane) {
      if (lane == Lane::kBulk) {
        stream_.Pump();
      } else {
        caller_.Pump();
      }
    });
  }

  absl::StatusOr<json> Run(uint32_t rounds, double seconds) {
    client_.io().loop().Post([this] { caller_.Pump(); });
    json all = json::array();
    for (uint32_t i = 0; i < rounds; ++i) {
      json round;
      Measure(seconds, "idle", round);
      stream_.Start();
      round["mb_per_s"] = Measure(seconds, "beside", round);
      stream_.Stop();
      client_.RunUntil([this] { return stream_.idle(); }, kEndSeconds);
      if (!stream_.idle()) return absl::DeadlineExceededError("the stream does not end");
      all.push_back(std::move(round));
    }
    caller_.Stop();
    client_.RunUntil([this] { return caller_.idle(); }, kEndSeconds);
    for (Outcome failure : {caller_.failure(), stream_.failure()}) {
      if (failure == Outcome::kOk) continue;
      return absl::UnavailableError(absl::StrCat("a message failed: ", OutcomeName(failure)));
    }
    ASSIGN_OR_RETURN(const SoakCounts counts, client_.AskCounts(client_.servers()[0]));
    SoakDamage damage;
    damage.Add(caller_, counts);
    damage.AddStream(stream_.sent(), counts[kSoakPagesStream]);
    return json({{"rounds", all},
                 {"streamed", stream_.sent()},
                 {"sent", damage.sent},
                 {"lost", damage.lost},
                 {"duplicated", damage.duplicated},
                 {"reordered", damage.reordered},
                 {"corrupt", damage.corrupt}});
  }

 private:
  // Returns the stream's MB/s.
  double Measure(double seconds, const std::string& name, json& round) {
    client_.RunFor(kSettleSeconds);
    caller_.TakeLatency();
    const uint64_t accepted = stream_.accepted();
    const uint64_t begin_ns = NowNs();
    client_.RunFor(seconds);
    const double measured_seconds = static_cast<double>(NowNs() - begin_ns) / 1e9;
    const Histogram latency = caller_.TakeLatency();
    round[name + "_p50_us"] = static_cast<double>(latency.Percentile(0.50)) / 1e3;
    round[name + "_p99_us"] = static_cast<double>(latency.Percentile(0.99)) / 1e3;
    return static_cast<double>((stream_.accepted() - accepted) * kStreamBytes) / 1e6 /
           measured_seconds;
  }

  SoakClient& client_;
  PageStream stream_;
  SoakSender caller_;
};

}  // namespace

absl::Status RunBulk(const PeerOptions& options, const std::vector<std::string>& addresses,
                     uint32_t rounds, uint32_t duration_ms) {
  ASSIGN_OR_RETURN(std::unique_ptr<SoakClient> client, SoakClient::Connect(options, addresses));
  auto soak = std::make_unique<BulkSoak>(*client);
  const absl::StatusOr<json> result = soak->Run(rounds, duration_ms / 1e3);
  // Callbacks of what is still in flight run while the messenger ends, and name the soak.
  client.reset();
  RETURN_IF_ERROR(result.status());
  std::printf("%s\n", result->dump().c_str());
  return absl::OkStatus();
}

}  // namespace clustix::bench
