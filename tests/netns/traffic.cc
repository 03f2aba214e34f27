// SPDX-License-Identifier: Apache-2.0
//
// A load generator for tests with real faults: one per node. Each sends a stream of one-way
// messages and a stream of calls to every peer on both lanes, as fast as the peer takes them,
// checks what it receives, and at the end prints one line of JSON. It stays until its stdin ends,
// so that a peer which is not done yet still has somebody to talk to.
//
//   clustix-traffic --node 1 --listen 10.201.0.1:7500 --peer 2=10.201.0.2:7500 --seconds 10
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "clustix/messenger.h"
#include "lib/base/prng.h"
#include "lib/base/system_random.h"
#include "lib/base/time_units.h"
#include "lib/io/uring_io.h"
#include "lib/msg/session_messenger.h"
#include "tests/netns/traffic_stream.h"

namespace clustix::traffic {
namespace {

constexpr Port kSendPort = 100;
constexpr Port kCallPort = 101;
constexpr size_t kSendsInFlight = 200;
constexpr size_t kCallsInFlight = 20;
// After the sending stops, everything must have arrived within this time.
constexpr uint64_t kSettleNs = 30 * kNsPerSecond;

struct Options {
  int node = 0;
  std::string listen;
  std::vector<std::string> peers;  // ID=ADDRESS
  int seconds = 5;
};

// One stream of messages or calls to one peer on one lane.
class Sender {
 public:
  Sender(Messenger& messenger, NodeId to, Lane lane, bool calls)
      : messenger_(messenger), to_(to), lane_(lane), calls_(calls), sizes_(to * 4 + calls) {}

  void Pump(bool stopping) {
    const size_t limit = calls_ ? kCallsInFlight : kSendsInFlight;
    while (!end_sent_ && in_flight_ < limit) {
      // The last message goes alone: it is confirmed only after all before it.
      if (stopping && in_flight_ > 0) return;
      if (!SendOne(stopping)) return;
    }
  }

  bool done() const { return end_sent_ && in_flight_ == 0; }
  uint64_t sent() const { return next_; }
  size_t in_flight() const { return in_flight_; }
  const std::map<std::string, uint64_t>& failures() const { return failures_; }

 private:
  bool SendOne(bool end) {
    const size_t largest = lane_ == Lane::kControl ? 2048 : 32768;
    std::vector<std::byte> message = MakeMessage(next_, sizes_.Below(largest), end);
    Outcome outcome;
    if (calls_) {
      CallOptions options{.lane = lane_, .timeout_ms = 60'000};
      outcome = messenger_.Call(to_, kCallPort, message, options, [this, message](const Reply& r) {
        bool same = r.payload.size() == message.size() &&
                    std::memcmp(r.payload.data(), message.data(), message.size()) == 0;
        Finish(r.outcome == Outcome::kOk && !same ? "wrong_answer" : OutcomeName(r.outcome));
      });
    } else {
      outcome = messenger_.Send(to_, kSendPort, message, lane_,
                                [this](Outcome o) { Finish(OutcomeName(o)); });
    }
    if (outcome == Outcome::kBusy) return false;
    if (outcome != Outcome::kOk) {
      ++failures_[OutcomeName(outcome)];
      return false;
    }
    ++next_;
    ++in_flight_;
    end_sent_ = end;
    return true;
  }

  void Finish(const std::string& outcome) {
    --in_flight_;
    if (outcome != OutcomeName(Outcome::kOk)) ++failures_[outcome];
  }

  Messenger& messenger_;
  const NodeId to_;
  const Lane lane_;
  const bool calls_;
  base::Prng sizes_;
  uint64_t next_ = 0;
  size_t in_flight_ = 0;
  bool end_sent_ = false;
  std::map<std::string, uint64_t> failures_;
};

class Traffic {
 public:
  Traffic(io::UringIo& io, std::unique_ptr<Messenger> messenger, const Options& options)
      : io_(io),
        messenger_(std::move(messenger)),
        stop_at_(io.loop().Now() + options.seconds * kNsPerSecond) {
    for (const PeerInfo& peer : messenger_->Peers()) {
      for (Lane lane : {Lane::kControl, Lane::kBulk}) {
        for (bool calls : {false, true}) {
          senders_.push_back(std::make_unique<Sender>(*messenger_, peer.node, lane, calls));
          checkers_[{peer.node, lane, calls}];
        }
      }
    }
    messenger_->Handle(kSendPort, [this](const Incoming& in) {
      checkers_[{in.from, in.lane, false}].Receive(in.payload);
    });
    messenger_->Handle(kCallPort, [this](const Incoming& in) {
      checkers_[{in.from, in.lane, true}].Receive(in.payload);
      messenger_->Answer(in.from, in.lane, in.request, 0, in.payload);
    });
    Tick();
  }

 private:
  using StreamKey = std::tuple<NodeId, Lane, bool>;

  void Tick() {
    const uint64_t now = io_.loop().Now();
    for (auto& sender : senders_) sender->Pump(now >= stop_at_);
    bool done = true;
    for (auto& sender : senders_) done = done && sender->done();
    for (auto& [key, checker] : checkers_) done = done && checker.ended;
    if (done || now >= stop_at_ + kSettleNs) {
      Report(done);
      return;
    }
    constexpr uint64_t kTickNs = 1'000'000;
    io_.loop().RunAt(now + kTickNs, [this] { Tick(); });
  }

  void Report(bool done) {
    nlohmann::json report = {{"done", done}};
    uint64_t sent = 0, unfinished = 0;
    std::map<std::string, uint64_t> failures;
    for (auto& sender : senders_) {
      sent += sender->sent();
      unfinished += sender->in_flight();
      for (auto& [name, count] : sender->failures()) failures[name] += count;
    }
    Checker all;
    for (auto& [key, checker] : checkers_) {
      all.received += checker.received;
      all.lost += checker.lost;
      all.duplicated_or_late += checker.duplicated_or_late;
      all.corrupt += checker.corrupt;
    }
    uint64_t disconnects = 0, resent = 0, duplicates = 0;
    for (const PeerInfo& peer : messenger_->Peers()) {
      disconnects += peer.disconnects;
      resent += peer.resent;
      duplicates += peer.duplicates;
    }
    report.update({{"sent", sent},
                   {"unfinished", unfinished},
                   {"failures", failures},
                   {"received", all.received},
                   {"lost", all.lost},
                   {"duplicated_or_late", all.duplicated_or_late},
                   {"corrupt", all.corrupt},
                   {"disconnects", disconnects},
                   {"resent", resent},
                   {"duplicates_dropped", duplicates}});
    std::printf("%s\n", report.dump().c_str());
    std::fflush(stdout);
  }

  io::UringIo& io_;
  std::unique_ptr<Messenger> messenger_;
  const uint64_t stop_at_;
  std::vector<std::unique_ptr<Sender>> senders_;
  std::map<StreamKey, Checker> checkers_;
};

int Run(const Options& options) {
  auto io = io::UringIo::Create();
  if (!io.ok()) {
    std::fprintf(stderr, "clustix-traffic: %s\n", io.status().ToString().c_str());
    return 1;
  }
  msg::MessengerConfig config;
  config.node = static_cast<NodeId>(options.node);
  config.listen_address = options.listen;
  config.cluster.fill(0x5a);
  config.key.fill(0xa5);
  config.incarnation = base::RandomId();
  for (const std::string& peer : options.peers) {
    const size_t equals = peer.find('=');
    config.peers.push_back({static_cast<NodeId>(std::stoi(peer)), peer.substr(equals + 1)});
  }
  auto messenger = msg::StartSessionMessenger(**io, config, msg::SystemRandom());
  if (!messenger.ok()) {
    std::fprintf(stderr, "clustix-traffic: %s\n", messenger.status().ToString().c_str());
    return 1;
  }
  Traffic traffic(**io, *std::move(messenger), options);
  std::thread until_stdin_ends([&io] {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    (*io)->Stop();
  });
  (*io)->Run();
  until_stdin_ends.join();
  return 0;
}

}  // namespace
}  // namespace clustix::traffic

int main(int argc, char** argv) {
  CLI::App app("Sends and checks messages between nodes, for tests.", "clustix-traffic");
  clustix::traffic::Options options;
  app.add_option("--node", options.node)->required();
  app.add_option("--listen", options.listen)->required();
  app.add_option("--peer", options.peers)->required();
  app.add_option("--seconds", options.seconds);
  CLI11_PARSE(app, argc, argv);
  return clustix::traffic::Run(options);
}
