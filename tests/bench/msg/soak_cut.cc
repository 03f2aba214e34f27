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
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "lib/base/prng.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"
#include "lib/base/time_units.h"
#include "lib/io/address.h"
#include "lib/io/socket.h"
#include "tests/bench/msg/soak_client.h"
#include "tests/bench/msg/soak_sender.h"

namespace clustix::bench {
namespace {

constexpr double kCutSettleSeconds = 30;
constexpr size_t kSendsInFlight = 1024;
constexpr size_t kCallsInFlight = 64;

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
        senders_.push_back(std::make_unique<SoakSender>(
            client,
            SoakTraffic{.to = client.servers()[0],
                        .lane = lane,
                        .calls = calls,
                        .least_bytes = 0,
                        .most_bytes = lane == Lane::kControl ? kSoakControlBytes : kSoakBulkBytes,
                        .window = calls ? kCallsInFlight : kSendsInFlight}));
      }
    }
    client.messenger().OnWritable([this](NodeId, Lane lane) {
      for (auto& sender : senders_) {
        if (sender->traffic().lane == lane) sender->Pump();
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
    client_.RunUntil([this] { return AllIdle(); }, kCutSettleSeconds);
    ASSIGN_OR_RETURN(counts_, client_.AskCounts(client_.servers()[0]));
    return absl::OkStatus();
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
    client_.RunFor(seconds);
    return static_cast<double>(Completed() - completed) /
           (static_cast<double>(NowNs() - begin_ns) / 1e9);
  }
  // Exponentially distributed, so that every moment is as likely as any other.
  void PlanCut() {
    const double share = static_cast<double>(random_.Below(1'000'000) + 1) / 1e6;
    const double wait_ns = -std::log(share) * cut_ms_ * static_cast<double>(kNsPerMs);
    next_cut_ = loop_.RunAt(loop_.Now() + static_cast<uint64_t>(wait_ns), [this] {
      cuts_ += cutter_.CutOne(random_);
      PlanCut();
    });
  }

  SoakClient& client_;
  io::Loop& loop_;
  Cutter cutter_;
  base::Prng random_;
  const uint32_t cut_ms_;
  std::vector<std::unique_ptr<SoakSender>> senders_;
  io::TimerId next_cut_ = 0;
  uint64_t cuts_ = 0;
  std::vector<double> cut_, uncut_;
  SoakCounts counts_;
};

double Middle(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

void CutSoak::Print() const {
  SoakDamage damage;
  for (auto& sender : senders_) damage.Add(*sender, counts_);
  const PeerInfo peer = client_.messenger().Peers()[0];
  const nlohmann::json result = {{"cuts", cuts_},
                                 {"disconnects", peer.disconnects},
                                 {"resent", peer.resent},
                                 {"sent", damage.sent},
                                 {"lost", damage.lost},
                                 {"duplicated", damage.duplicated},
                                 {"reordered", damage.reordered},
                                 {"corrupt", damage.corrupt},
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
