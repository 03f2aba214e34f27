// SPDX-License-Identifier: Apache-2.0
//
// A receiver that stops to read. Its sender goes on as fast as it is let: to the stalled node until
// the queue is full, and with calls to nodes that are well, and on the lane that is. Prints one
// line of JSON:
//
//   stalled_s                the time in which the receiver did not read
//   accepted_stalled         messages that it accepted in the second half of it, on what is stalled
//   limit_bytes, queue_most_bytes   of the queues to it: what is stated, and the most that was seen
//   rss_before_bytes, rss_most_bytes  of the sender
//   watched                  [{node, before_per_s, before_p99_us, stalled_per_s, stalled_p99_us,
//                            slowest_per_s}, ...]: calls to the others before and in that time, and
//                            in its slowest second
//   resumed_s                until all that was queued had arrived, after the receiver read again
//   sent, lost, duplicated, reordered, corrupt  of everything to all nodes
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "lib/session/wire.h"
#include "tests/bench/msg/soak_sender.h"

namespace clustix::bench {
namespace {

using nlohmann::json;

constexpr double kStallSettleSeconds = 60;
constexpr double kSliceSeconds = 1;  // of which the slowest is told
constexpr uint64_t kSampleNs = 50'000'000;
constexpr size_t kCallWindow = 16;
// What a lane that carries a few small calls may hold: some blocks of the queue.
constexpr uint64_t kQuietLaneBytes = 256 * 1024;

// Of all queues to the stalled node.
uint64_t QueueLimitBytes(StallKind kind) {
  if (kind == StallKind::kHold) return KCCM_QUEUE_BYTES + kQuietLaneBytes;
  return uint64_t{KCCM_LANES} * KCCM_QUEUE_BYTES;
}

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// The server's process; runs again when this ends, whatever happens between.
class StoppedProcess {
 public:
  explicit StoppedProcess(int pid) : pid_(pid) {}
  ~StoppedProcess() { Continue(); }
  absl::Status Stop() {
    if (kill(pid_, SIGSTOP) != 0) return base::ErrnoStatus(errno, "cannot stop the server");
    stopped_ = true;
    return absl::OkStatus();
  }
  void Continue() {
    if (std::exchange(stopped_, false)) kill(pid_, SIGCONT);
  }

 private:
  const int pid_;
  bool stopped_ = false;
};

// Calls that nothing should hold up.
struct Watched {
  SoakSender* sender = nullptr;
  Histogram before, stalled;
  double slowest_per_s = -1;
};

class StallSoak {
 public:
  StallSoak(SoakClient& client, StallKind kind, int stalled_pid)
      : client_(client), kind_(kind), stalled_(client.servers()[0]), process_(stalled_pid) {
    // On a lane that is to stand still, until its queue is full.
    Add({.to = stalled_,
         .lane = Lane::kBulk,
         .calls = false,
         .least_bytes = 0,
         .most_bytes = kSoakBulkBytes});
    Add({.to = stalled_,
         .lane = Lane::kBulk,
         .calls = true,
         .least_bytes = 0,
         .most_bytes = kSoakBulkBytes});
    if (kind == StallKind::kStop) {
      Add({.to = stalled_, .calls = false, .least_bytes = 0, .most_bytes = kSoakControlBytes});
      Add({.to = stalled_,
           .calls = true,
           .least_bytes = 0,
           .most_bytes = kSoakControlBytes,
           .window = kCallWindow});
    } else {
      Watch(stalled_);
    }
    for (NodeId node : client.servers()) {
      if (node != stalled_) Watch(node);
    }
    client.messenger().OnWritable([this](NodeId node, Lane lane) {
      for (auto& sender : senders_) {
        if (sender->traffic().to == node && sender->traffic().lane == lane) sender->Pump();
      }
    });
  }

  absl::StatusOr<json> Run(double seconds) {
    client_.io().loop().Post([this] {
      for (auto& sender : senders_) sender->Pump();
    });
    const double before_seconds = std::clamp(seconds / 4, 0.5, 5.0);
    client_.RunFor(before_seconds / 2);
    for (Watched& watched : watched_) watched.sender->TakeLatency();
    const double measured_before = Elapsed([&] { client_.RunFor(before_seconds); });
    for (Watched& watched : watched_) watched.before = watched.sender->TakeLatency();
    rss_before_bytes_ = ResidentBytes();

    RETURN_IF_ERROR(Stall());
    Sample();
    const double measured_stalled = Elapsed([&] { WatchFor(seconds); });
    for (auto& sender : senders_) sender->Stop();
    absl::Status resumed = absl::OkStatus();
    const double resumed_seconds = Elapsed([&] {
      resumed = Resume();
      client_.RunUntil([this] { return AllIdle(); }, resumed.ok() ? kStallSettleSeconds : 0);
    });
    client_.io().loop().Cancel(next_sample_);
    RETURN_IF_ERROR(resumed);
    ASSIGN_OR_RETURN(const SoakDamage damage, AskDamage());
    return Result(measured_before, measured_stalled, resumed_seconds, damage);
  }

 private:
  SoakSender* Add(const SoakTraffic& traffic) {
    return senders_.emplace_back(std::make_unique<SoakSender>(client_, traffic)).get();
  }
  void Watch(NodeId node) {
    watched_.emplace_back().sender = Add({.to = node,
                                          .least_bytes = kSoakCallBytes,
                                          .most_bytes = kSoakCallBytes,
                                          .window = kCallWindow});
  }
  bool AllIdle() const {
    return std::all_of(senders_.begin(), senders_.end(),
                       [](auto& sender) { return sender->idle(); });
  }
  template <typename Task>
  static double Elapsed(Task task) {
    const uint64_t begin_ns = NowNs();
    task();
    return static_cast<double>(NowNs() - begin_ns) / 1e9;
  }

  absl::Status Stall() {
    if (kind_ == StallKind::kStop) return process_.Stop();
    const std::byte hold{1};
    return client_.Ask(stalled_, kSoakHoldPort, {&hold, 1}).status();
  }
  absl::Status Resume() {
    process_.Continue();
    if (kind_ == StallKind::kStop) return absl::OkStatus();
    const std::byte hold{0};
    return client_.Ask(stalled_, kSoakHoldPort, {&hold, 1}).status();
  }
  // What the stalled node has accepted on what stands still.
  uint64_t AcceptedStalled() const {
    uint64_t accepted = 0;
    for (auto& sender : senders_) {
      const SoakTraffic& traffic = sender->traffic();
      const bool still = kind_ == StallKind::kStop || traffic.lane == Lane::kBulk;
      if (traffic.to == stalled_ && still) accepted += sender->completed();
    }
    return accepted;
  }
  void Sample() {
    for (const PeerInfo& peer : client_.messenger().Peers()) {
      if (peer.node != stalled_) continue;
      queue_most_bytes_ = std::max(queue_most_bytes_, peer.queue_memory_bytes);
    }
    rss_most_bytes_ = std::max(rss_most_bytes_, ResidentBytes());
    next_sample_ =
        client_.io().loop().RunAt(client_.io().loop().Now() + kSampleNs, [this] { Sample(); });
  }
  void WatchFor(double seconds) {
    const double slice_seconds = std::min(kSliceSeconds, seconds / 2);
    const auto slices = static_cast<uint32_t>(seconds / slice_seconds);
    uint64_t accepted = 0;
    for (uint32_t i = 0; i < slices; ++i) {
      if (i == slices / 2) accepted = AcceptedStalled();
      const double measured = Elapsed([&] { client_.RunFor(slice_seconds); });
      for (Watched& watched : watched_) {
        const Histogram latency = watched.sender->TakeLatency();
        watched.stalled.Add(latency);
        const double per_s = static_cast<double>(latency.total()) / measured;
        if (watched.slowest_per_s < 0 || per_s < watched.slowest_per_s) {
          watched.slowest_per_s = per_s;
        }
      }
    }
    accepted_stalled_ = AcceptedStalled() - accepted;
  }
  absl::StatusOr<SoakDamage> AskDamage() {
    SoakDamage damage;
    for (NodeId node : client_.servers()) {
      ASSIGN_OR_RETURN(const SoakCounts counts, client_.AskCounts(node));
      for (auto& sender : senders_) {
        if (sender->traffic().to == node) damage.Add(*sender, counts);
      }
    }
    return damage;
  }
  json Result(double before_s, double stalled_s, double resumed_s, const SoakDamage& damage) const;

  SoakClient& client_;
  const StallKind kind_;
  const NodeId stalled_;
  StoppedProcess process_;
  std::vector<std::unique_ptr<SoakSender>> senders_;
  std::vector<Watched> watched_;
  io::TimerId next_sample_ = 0;
  uint64_t queue_most_bytes_ = 0, rss_before_bytes_ = 0, rss_most_bytes_ = 0;
  uint64_t accepted_stalled_ = 0;
};

json StallSoak::Result(double before_s, double stalled_s, double resumed_s,
                       const SoakDamage& damage) const {
  json watched = json::array();
  for (const Watched& one : watched_) {
    watched.push_back({{"node", one.sender->traffic().to},
                       {"before_per_s", static_cast<double>(one.before.total()) / before_s},
                       {"before_p99_us", static_cast<double>(one.before.Percentile(0.99)) / 1e3},
                       {"stalled_per_s", static_cast<double>(one.stalled.total()) / stalled_s},
                       {"stalled_p99_us", static_cast<double>(one.stalled.Percentile(0.99)) / 1e3},
                       {"slowest_per_s", one.slowest_per_s}});
  }
  return {{"stalled_s", stalled_s},
          {"accepted_stalled", accepted_stalled_},
          {"limit_bytes", QueueLimitBytes(kind_)},
          {"queue_most_bytes", queue_most_bytes_},
          {"rss_before_bytes", rss_before_bytes_},
          {"rss_most_bytes", rss_most_bytes_},
          {"watched", watched},
          {"resumed_s", resumed_s},
          {"sent", damage.sent},
          {"lost", damage.lost},
          {"duplicated", damage.duplicated},
          {"reordered", damage.reordered},
          {"corrupt", damage.corrupt}};
}

}  // namespace

absl::Status RunStall(const PeerOptions& options, const std::vector<std::string>& addresses,
                      StallKind kind, int stalled_pid, uint32_t seconds) {
  ASSIGN_OR_RETURN(std::unique_ptr<SoakClient> client, SoakClient::Connect(options, addresses));
  auto soak = std::make_unique<StallSoak>(*client, kind, stalled_pid);
  const absl::StatusOr<json> result = soak->Run(seconds);
  // Callbacks of what is still in flight run while the messenger ends, and name the soak.
  client.reset();
  RETURN_IF_ERROR(result.status());
  std::printf("%s\n", result->dump().c_str());
  return absl::OkStatus();
}

}  // namespace clustix::bench
