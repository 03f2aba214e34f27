// SPDX-License-Identifier: Apache-2.0
//
// What a session is for: one-way messages and calls on both lanes, under load, while connections
// are reset at random moments. Prints one line of JSON:
//
//   cuts, disconnects, resent     what was done to the connections, and what the session did
//   sent                          messages and calls
//   lost                          that did not arrive, calls that were not answered among them
//   duplicated, reordered, corrupt  of messages, calls and answers
//   cut_msgs_per_s, uncut_msgs_per_s  medians over times with cuts and times without, in turns
#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "lib/base/prng.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"
#include "lib/io/address.h"
#include "lib/io/socket.h"
#include "tests/bench/msg/soak_client.h"
#include "tests/bench/msg/soak_stream.h"

namespace clustix::bench {
namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr double kSettleSeconds = 30;
constexpr size_t kSendsInFlight = 1024;
constexpr size_t kCallsInFlight = 64;

// One stream to the server.
class SoakSender {
 public:
  SoakSender(Messenger& messenger, NodeId to, Lane lane, bool calls, std::function<void()> idle)
      : messenger_(messenger),
        to_(to),
        lane_(lane),
        calls_(calls),
        idle_(std::move(idle)),
        sizes_(StreamIndex(lane, calls) + 1),
        maker_(StreamIndex(lane, calls) + 1) {}

  void Pump() {
    while (!stopped_ && in_flight_ < (calls_ ? kCallsInFlight : kSendsInFlight)) {
      if (!SendOne()) return;
    }
  }
  void Stop() { stopped_ = true; }
  bool idle() const { return in_flight_ == 0; }
  Lane lane() const { return lane_; }
  size_t index() const { return StreamIndex(lane_, calls_); }

  uint64_t sent() const { return sent_; }
  uint64_t completed() const { return completed_; }
  uint64_t unanswered() const { return failed_ + in_flight_; }
  StreamCounts answers() const { return answers_.counts(); }

 private:
  bool SendOne() {
    constexpr size_t kLargestControl = 512, kLargestBulk = 32 * 1024;
    const size_t bytes = sizes_.Below(lane_ == Lane::kControl ? kLargestControl : kLargestBulk);
    const Bytes message = maker_.Make(sent_, bytes);
    Outcome outcome;
    if (calls_) {
      outcome = messenger_.Call(to_, kSoakCallPort, message, {.lane = lane_, .timeout_ms = 0},
                                [this](const Reply& reply) {
                                  if (reply.outcome == Outcome::kOk)
                                    answers_.Receive(reply.payload);
                                  Finish(reply.outcome);
                                });
    } else {
      outcome = messenger_.Send(to_, kSoakOnewayPort, message, lane_,
                                [this](Outcome done) { Finish(done); });
    }
    if (outcome == Outcome::kBusy) return false;
    ++sent_;
    if (outcome == Outcome::kOk) {
      ++in_flight_;
      return true;
    }
    ++failed_;
    stopped_ = true;
    return false;
  }

  void Finish(Outcome outcome) {
    --in_flight_;
    ++(outcome == Outcome::kOk ? completed_ : failed_);
    Pump();
    if (stopped_ && in_flight_ == 0) idle_();
  }

  Messenger& messenger_;
  const NodeId to_;
  const Lane lane_;
  const bool calls_;
  const std::function<void()> idle_;
  base::Prng sizes_;
  StreamMaker maker_;
  StreamChecker answers_;
  bool stopped_ = false;
  size_t in_flight_ = 0;
  uint64_t sent_ = 0, completed_ = 0, failed_ = 0;
};

// Resets one of this process's connections to a server: connecting to nowhere makes TCP forget the
// connection and what is queued on it, and send a RST.
class Cutter {
 public:
  explicit Cutter(const io::SocketAddress& server) : server_(server) {}

  bool CutOne(base::Prng& random) {
    std::vector<int> connected;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
      int fd;
      if (!absl::SimpleAtoi(entry.path().filename().string(), &fd)) continue;
      const absl::StatusOr<io::SocketAddress> peer = io::PeerAddressOf(fd);
      if (peer.ok() && *peer == server_) connected.push_back(fd);
    }
    if (connected.empty()) return false;
    sockaddr nowhere = {};
    nowhere.sa_family = AF_UNSPEC;
    return connect(connected[random.Below(connected.size())], &nowhere, sizeof(nowhere)) == 0;
  }

 private:
  const io::SocketAddress server_;
};

class CutSoak {
 public:
  CutSoak(SoakClient& client, const io::SocketAddress& server, uint32_t cut_ms)
      : client_(client),
        loop_(client.io().loop()),
        cutter_(server),
        random_(base::RandomId()),
        cut_ms_(cut_ms) {
    for (Lane lane : {Lane::kControl, Lane::kBulk}) {
      for (bool calls : {false, true}) {
        senders_.push_back(std::make_unique<SoakSender>(client.messenger(), client.servers()[0],
                                                        lane, calls,
                                                        [&client] { client.io().Stop(); }));
      }
    }
    client.messenger().OnWritable([this](NodeId, Lane lane) {
      for (auto& sender : senders_) {
        if (sender->lane() == lane) sender->Pump();
      }
    });
  }

  // In slices: with cuts, and half as long without.
  absl::Status Run(uint32_t seconds) {
    constexpr uint32_t kSlices = 10;
    const double slice_seconds = static_cast<double>(seconds) / kSlices;
    loop_.Post([this] {
      for (auto& sender : senders_) sender->Pump();
    });
    for (uint32_t i = 0; i < kSlices; ++i) {
      uncut_.push_back(Slice(slice_seconds / 2));
      PlanCut();
      cut_.push_back(Slice(slice_seconds));
      loop_.Cancel(next_cut_);
    }
    for (auto& sender : senders_) sender->Stop();
    client_.RunUntil([this] { return AllIdle(); }, kSettleSeconds);
    return AskCounts();
  }

  void Print() const;

 private:
  bool AllIdle() const {
    return std::all_of(senders_.begin(), senders_.end(),
                       [](auto& sender) { return sender->idle(); });
  }
  uint64_t Completed() const {
    uint64_t completed = 0;
    for (auto& sender : senders_) completed += sender->completed();
    return completed;
  }
  // Messages and answered calls per second.
  double Slice(double seconds) {
    const uint64_t completed = Completed();
    const uint64_t begin_ns = NowNs();
    client_.RunUntil([] { return false; }, seconds);
    return static_cast<double>(Completed() - completed) /
           (static_cast<double>(NowNs() - begin_ns) / 1e9);
  }
  // Exponentially distributed, so that every moment is as likely as any other.
  void PlanCut() {
    const double share = static_cast<double>(random_.Below(1'000'000) + 1) / 1e6;
    const double wait_ns = -std::log(share) * cut_ms_ * static_cast<double>(kMillisecondNs);
    next_cut_ = loop_.RunAt(loop_.Now() + static_cast<uint64_t>(wait_ns), [this] {
      cuts_ += cutter_.CutOne(random_);
      PlanCut();
    });
  }
  absl::Status AskCounts();

  SoakClient& client_;
  io::Loop& loop_;
  Cutter cutter_;
  base::Prng random_;
  const uint32_t cut_ms_;
  std::vector<std::unique_ptr<SoakSender>> senders_;
  io::TimerId next_cut_ = 0;
  uint64_t cuts_ = 0;
  std::vector<double> cut_, uncut_;
  std::array<StreamCounts, kSoakStreams> counts_;
  Outcome counts_outcome_ = Outcome::kOk;
  bool counts_came_ = false;
};

absl::Status CutSoak::AskCounts() {
  counts_outcome_ = client_.messenger().Call(
      client_.servers()[0], kSoakCountsPort, {}, {}, [this](const Reply& reply) {
        counts_outcome_ = reply.outcome;
        counts_came_ = reply.payload.size() == sizeof(counts_);
        if (counts_came_) std::memcpy(counts_.data(), reply.payload.data(), sizeof(counts_));
        client_.io().Stop();
      });
  if (counts_outcome_ == Outcome::kOk) {
    client_.RunUntil([this] { return counts_came_ || counts_outcome_ != Outcome::kOk; },
                     kSettleSeconds);
  }
  if (counts_came_) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the server does not say what arrived: ", OutcomeName(counts_outcome_)));
}

double Middle(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

void CutSoak::Print() const {
  uint64_t sent = 0, lost = 0, duplicated = 0, reordered = 0, corrupt = 0;
  for (auto& sender : senders_) {
    const StreamCounts& counts = counts_[sender->index()];
    const StreamCounts answers = sender->answers();
    sent += sender->sent();
    // A call that arrived and was not answered is lost, too; one that did not arrive counts once.
    lost += std::max(LostOf(counts, sender->sent()), sender->unanswered());
    duplicated += counts.duplicated + answers.duplicated;
    reordered += counts.reordered + answers.reordered;
    corrupt += counts.corrupt + answers.corrupt;
  }
  const PeerInfo peer = client_.messenger().Peers()[0];
  const nlohmann::json result = {{"cuts", cuts_},
                                 {"disconnects", peer.disconnects},
                                 {"resent", peer.resent},
                                 {"sent", sent},
                                 {"lost", lost},
                                 {"duplicated", duplicated},
                                 {"reordered", reordered},
                                 {"corrupt", corrupt},
                                 {"cut_msgs_per_s", Middle(cut_)},
                                 {"uncut_msgs_per_s", Middle(uncut_)}};
  std::printf("%s\n", result.dump().c_str());
}

}  // namespace

absl::Status RunCut(const PeerOptions& options, const std::vector<std::string>& addresses,
                    uint32_t cut_ms, uint32_t seconds) {
  ASSIGN_OR_RETURN(const io::SocketAddress server, io::ParseAddress(addresses[0]));
  ASSIGN_OR_RETURN(std::unique_ptr<SoakClient> client, SoakClient::Connect(options, addresses));
  auto soak = std::make_unique<CutSoak>(*client, server, cut_ms);
  const absl::Status status = soak->Run(seconds);
  if (status.ok()) soak->Print();
  // Callbacks of what is still in flight run while the messenger ends, and name the soak.
  client.reset();
  return status;
}

}  // namespace clustix::bench
