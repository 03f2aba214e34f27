// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <algorithm>
#include <map>
#include <utility>

namespace clustix::sim {
namespace {

// From the last fault to everybody up and every queue empty. A half-open connection is noticed
// after a tolerance or a handshake, a lost SYN comes again after up to 4 s, and the back-off that
// faults have driven up lasts at most 2 s per dial; the rest is for full queues behind windows of
// two messages and round trips of 200 ms.
constexpr TimeNs kSettleWithin = 60 * kSecond;
// A world that needs more events than this turns in circles.
constexpr uint64_t kEventsMax = 3'000'000;
constexpr uint16_t kStrangerHost = 200;

std::string AddressOf(HostId host) { return "10.0.0." + std::to_string(host) + ":7400"; }

}  // namespace

RunResult RunSeed(uint64_t seed, bool print_trace) {
  World world(seed, print_trace);
  return world.Run();
}

std::string MessageTable() { return ""; }

World::World(uint64_t seed, bool print_trace)
    : prng_(seed * 2654435761u + 17),
      profile_(Profile::Draw(prng_)),
      scheduler_(prng_.Between(1, 1000) * kSecond),
      start_(scheduler_.Now()),
      faults_end_(start_ + profile_.faults_ns),
      trace_(scheduler_, print_trace),
      checker_(scheduler_),
      watch_([this](const std::string& what) { checker_.Fail(what); }),
      network_(scheduler_, prng_.Fork(), trace_) {
  prng_.Fill(cluster_.data(), cluster_.size());
  prng_.Fill(key_.data(), key_.size());
  network_.profile() = profile_.network;
  network_.set_tap(&watch_);
  Build();
}

World::~World() = default;

void World::Build() {
  for (uint32_t i = 1; i <= profile_.nodes; i++) {
    Node node;
    node.id = static_cast<NodeId>(i * 10);
    node.address = AddressOf(node.id);
    nodes_.push_back(std::move(node));
  }
  // At either end, so that it dials everybody or is dialed by everybody.
  Node& outsider = prng_.Chance(1, 2) ? nodes_.front() : nodes_.back();
  outsider.member = profile_.stranger != Stranger::kWrongKey &&
                    profile_.stranger != Stranger::kWrongCluster &&
                    profile_.stranger != Stranger::kIntruder;
  outsider.absent = profile_.stranger == Stranger::kIntruder;
  for (size_t i = 0; i < nodes_.size(); i++) {
    if (nodes_[i].absent) continue;
    scheduler_.After(prng_.Between(0, prng_.Chance(1, 2) ? 400 * kMs : 0), [this, i] {
      if (nodes_[i].process == nullptr) StartNode(i);
    });
  }
  StartStranger();
}

Process::Options World::OptionsFor(const Node& node) {
  Process::Options options;
  options.host = node.id;
  options.trusted = node.member;
  msg::MessengerConfig& config = options.config;
  config.node = node.id;
  config.listen_address = node.address;
  config.cluster = cluster_;
  config.key = key_;
  if (!node.member && profile_.stranger == Stranger::kWrongKey) config.key[3] ^= 1;
  if (!node.member && profile_.stranger == Stranger::kWrongCluster) config.cluster[15] ^= 1;
  config.incarnation = prng_.Next() | 1;
  for (const Node& other : nodes_) {
    if (other.id == node.id) continue;
    config.peers.push_back({other.id, other.address});
    options.talks_to.push_back(other.id);
  }
  config.tolerance_ms = profile_.tolerance_ms;
  config.queue_messages = profile_.queue_messages;
  config.queue_bytes = profile_.queue_bytes;
  config.window_messages = profile_.window_messages;
  config.window_bytes = profile_.window_bytes;
  config.payload_crc = profile_.payload_crc;
  return options;
}

void World::StartNode(size_t index) {
  Node& node = nodes_[index];
  Process::Options options = OptionsFor(node);
  const uint64_t incarnation = options.config.incarnation;
  watch_.Announce(incarnation,
                  {profile_.window_messages == 0 ? KCCM_WINDOW_MESSAGES : profile_.window_messages,
                   profile_.window_bytes == 0 ? KCCM_WINDOW_BYTES : profile_.window_bytes});
  node.process = std::make_unique<Process>(scheduler_, network_, checker_, trace_, profile_,
                                           prng_.Fork(), std::move(options));
  if (++node.lives > 1) restarts_ = true;
  if (checker_.ok() && !healing_) node.process->StartTraffic();
}

void World::StartStranger() {
  if (profile_.stranger == Stranger::kClone) {
    // Once the original is up: before that, nobody could tell which of the two is the clone.
    scheduler_.After(profile_.faults_ns / 2, [this] { StartClone(); });
    return;
  }
  if (profile_.stranger == Stranger::kUnknownNode) {
    Node unknown;
    unknown.id = prng_.Chance(1, 2) ? 5 : 300;
    unknown.address = AddressOf(kStrangerHost);
    Process::Options options = OptionsFor(unknown);
    options.host = kStrangerHost;
    options.trusted = false;
    stranger_ = std::make_unique<Process>(scheduler_, network_, checker_, trace_, profile_,
                                          prng_.Fork(), std::move(options));
    return;
  }
  if (profile_.stranger != Stranger::kIntruder) return;
  auto absent = std::find_if(nodes_.begin(), nodes_.end(), [](const Node& n) { return n.absent; });
  std::vector<Intruder::Target> targets;
  for (const Node& node : nodes_) {
    if (!node.absent) targets.push_back({node.id, node.address});
  }
  intruder_io_ = std::make_unique<SimIo>(
      scheduler_, network_, absent->id, profile_.io, prng_.Fork(), trace_,
      [this](const std::string& what) { checker_.Fail("the intruder: " + what); });
  intruder_ = std::make_unique<Intruder>(*intruder_io_, prng_.Fork(), absent->id, absent->address,
                                         cluster_, std::move(targets));
}

void World::StartClone() {
  for (const Node& node : nodes_) {
    for (NodeId peer : Live()) {
      if (peer != node.id && node.process->ups(peer) == 0) return;  // not up yet: no clone here
    }
  }
  Process::Options options = OptionsFor(nodes_.front());
  options.config.listen_address = AddressOf(kStrangerHost);
  options.host = kStrangerHost;
  options.trusted = false;
  stranger_ = std::make_unique<Process>(scheduler_, network_, checker_, trace_, profile_,
                                        prng_.Fork(), std::move(options));
}

std::vector<NodeId> World::Live() const {
  std::vector<NodeId> live;
  for (const Node& node : nodes_) {
    if (!node.absent && node.member && !node.dead) live.push_back(node.id);
  }
  return live;
}

void World::Step(TimeNs duration) {
  scheduler_.RunUntil(scheduler_.Now() + duration, [this] {
    if (scheduler_.executed() > kEventsMax) checker_.Fail("the world turns in circles");
    return checker_.ok();
  });
  for (Node& node : nodes_) {
    if (checker_.ok() && node.process != nullptr && node.process->running()) {
      node.process->CheckMemory();
    }
  }
}

std::string World::Unsettled() const {
  const std::vector<NodeId> live = Live();
  for (const Node& node : nodes_) {
    if (std::find(live.begin(), live.end(), node.id) == live.end()) continue;
    if (node.process == nullptr || !node.process->running()) {
      return "node " + std::to_string(node.id) + " has not restarted";
    }
    std::string missing = node.process->Unsettled(live);
    if (!missing.empty()) return missing;
  }
  return "";
}

bool World::Settle(const char* phase, TimeNs within) {
  const TimeNs end = scheduler_.Now() + within;
  const std::vector<NodeId> live = Live();
  std::string missing;
  while (checker_.ok()) {
    Step(50 * kMs);
    missing = Unsettled();
    if (missing.empty()) missing = checker_.Silent({live.begin(), live.end()});
    if (missing.empty() || scheduler_.Now() >= end) break;
  }
  if (!missing.empty()) checker_.Fail(std::string(phase) + ": " + missing);
  return checker_.ok();
}

RunResult World::Run() {
  NextFault();
  while (checker_.ok() && !healing_) {
    Step(std::min<TimeNs>(20 * kMs, profile_.faults_ns));
    if (scheduler_.Now() >= faults_end_) Heal();
  }
  Step(300 * kMs);  // traffic goes on for a while in the healed world
  for (Node& node : nodes_) {
    if (node.process != nullptr) node.process->StopTraffic();
  }
  if (Settle("after the faults", kSettleWithin)) {
    for (Node& node : nodes_) {
      if (node.process != nullptr && node.process->running()) node.process->SayHelloToAll(Live());
    }
    Settle("a last message to everybody", kSettleWithin / 3);
  }
  if (checker_.ok()) CheckStrangers();
  if (checker_.ok()) CheckBackoff();
  if (checker_.ok()) End();
  return {checker_.violation(), trace_.hash(), scheduler_.executed(), checker_.messages() - 1,
          scheduler_.Now() - start_};
}

void World::CheckStrangers() {
  if (stranger_ != nullptr) {
    for (const Node& node : nodes_) {
      if (stranger_->ups(node.id) != 0) {
        return checker_.Fail("a stranger was let in by node " + std::to_string(node.id));
      }
    }
  }
  for (const Node& node : nodes_) {
    if (node.process == nullptr) continue;
    if (!restarts_ && node.process->reboots() != 0) {
      return checker_.Fail("node " + std::to_string(node.id) + " saw a restart that was none");
    }
    for (const Node& other : nodes_) {
      if (other.id == node.id || (other.member && node.member) || node.process->ups(other.id) == 0)
        continue;
      return checker_.Fail("nodes " + std::to_string(node.id) + " and " + std::to_string(other.id) +
                           " met, and one of them is no member");
    }
  }
}

// Nobody hammers on a door that stays shut.
void World::CheckBackoff() {
  constexpr TimeNs kWatch = 6 * kSecond;
  constexpr uint64_t kDialsMost = 60;
  const bool shut = std::any_of(nodes_.begin(), nodes_.end(),
                                [](const Node& n) { return !n.member || n.dead || n.absent; });
  if (!shut) return;
  std::map<std::pair<NodeId, NodeId>, uint64_t> before;
  for (const Node& from : nodes_) {
    for (const Node& to : nodes_) before[{from.id, to.id}] = network_.dials(from.id, to.id);
  }
  for (TimeNs t = 0; t < kWatch && checker_.ok(); t += kSecond) Step(kSecond);
  for (const Node& from : nodes_) {
    if (from.absent) continue;
    for (const Node& to : nodes_) {
      const uint64_t dials = network_.dials(from.id, to.id) - before[{from.id, to.id}];
      if (dials > kDialsMost) {
        checker_.Fail("node " + std::to_string(from.id) + " dialed node " + std::to_string(to.id) +
                      " " + std::to_string(dials) + " times in " +
                      std::to_string(kWatch / kSecond) + " s");
      }
    }
  }
}

// Everybody leaves in good order: all outcomes are told and all streams end.
void World::End() {
  if (intruder_ != nullptr) intruder_->GiveUp();
  std::vector<Process*> leaving;
  for (Node& node : nodes_) leaving.push_back(node.process.get());
  for (auto& process : former_) leaving.push_back(process.get());
  leaving.push_back(stranger_.get());
  std::erase(leaving, nullptr);
  for (Process* process : leaving) {
    if (process->running()) process->Quit();
  }
  auto gone = [](const Process* process) { return process->gone(); };
  const TimeNs end = scheduler_.Now() + 10 * kSecond;
  while (checker_.ok() && !std::all_of(leaving.begin(), leaving.end(), gone)) {
    if (scheduler_.Now() >= end) {
      return checker_.Fail("a messenger was destroyed, and its streams never close");
    }
    Step(50 * kMs);
  }
  if (checker_.ok()) checker_.AtEnd();
}

}  // namespace clustix::sim
