// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/cluster.h"

#include <algorithm>
#include <utility>

namespace clustix::sim {
namespace {

// Few buckets, so that a view change costs little; the engine does not know the difference.
constexpr kddm::EngineConfig kConfig = {.hash_buckets = 16, .placed_nodes = 8};

std::string BusyObjects(const kddm::Engine& engine) {
  const auto& table = engine.home().directory().table();
  std::string names;
  for (uint32_t slot = 0; slot < table.slots(); ++slot) {
    if (!table.in_use(slot) || !table.at(slot).busy) continue;
    names += " object " + std::to_string(table.at(slot).key.object & 255);
  }
  return names;
}

}  // namespace

Cluster::Cluster(const Profile& profile, uint64_t seed, Scheduler& scheduler, Trace& trace,
                 Listener& listener)
    : profile_(profile), prng_(seed), scheduler_(scheduler), trace_(trace), listener_(listener) {
  for (NodeId node = 1; node <= profile.nodes; ++node) nodes_[node];
}

void Cluster::Start() {
  for (auto& [id, node] : nodes_) {
    if (profile_.joins && id > 2 && prng_.Chance(1, 2)) continue;
    view_.insert(id);
  }
  settled_members_ = view_.size();
  for (const NodeId id : view_) Boot(id);
  Agree();
  for (auto& [id, node] : nodes_) {
    if (view_.contains(id)) continue;
    scheduler_.After(prng_.Below(profile_.faults_end), [this, late = id] { Restart(late); });
  }
}

kddm::Engine* Cluster::engine(NodeId node) { return nodes_.at(node).engine.get(); }

void Cluster::Boot(NodeId id) {
  Node& node = nodes_.at(id);
  node.store = std::make_unique<kddm::HeapStore>(profile_.budget_bytes);
  node.engine = std::make_unique<kddm::Engine>(id, kConfig, *node.store);
  node.isolated = false;
  node.views.clear();
  ++node.life;
  listener_.OnUp(id);
}

// The members have agreed on the next view; each hears of it in its own time.
void Cluster::Agree() {
  const member::View view = NextView();
  for (const NodeId id : view_) Announce(id, view, Delay());
}

member::View Cluster::NextView() {
  member::View view{.epoch = ++epoch_, .members = {}};
  told_shortage_ = 0;
  view.members.assign(view_.begin(), view_.end());
  trace_.Note(0, "view", epoch_, view.members.size());
  return view;
}

void Cluster::Announce(NodeId id, member::View view, TimeNs delay) {
  Node& node = nodes_.at(id);
  if (node.engine == nullptr) return;
  node.views.push_back(std::move(view));
  node.last_install = std::max(node.last_install, scheduler_.Now()) + delay;
  scheduler_.At(node.last_install, [this, id, life = node.life] {
    Node& installing = nodes_.at(id);
    if (installing.life != life || installing.engine == nullptr) return;
    const member::View next = std::move(installing.views.front());
    installing.views.pop_front();
    trace_.Note(id, "installs", next.epoch);
    Feed(id, {}, [&next](kddm::Engine& engine) { engine.InstallView(next); });
  });
}

void Cluster::TakeBack(NodeId back) {
  if (nodes_.at(back).engine != nullptr || view_.erase(back) == 0) return;
  const bool alone = view_.empty();
  const member::View without = alone ? member::View() : NextView();
  view_.insert(back);
  Boot(back);
  const member::View with = NextView();
  for (const NodeId id : view_) {
    const bool new_here = id == back || alone;
    if (!new_here) Announce(id, without, Delay());
    Announce(id, with, new_here ? Delay() : 0);
  }
}

void Cluster::Feed(NodeId id, const kddm::ObjectKey& key,
                   const std::function<void(kddm::Engine&)>& event) {
  Node& node = nodes_.at(id);
  if (node.engine == nullptr) return;
  event(*node.engine);
  Flush(id);
  if (key.set != 0) listener_.OnTouched(key);
}

void Cluster::Flush(NodeId id) {
  kddm::Engine* engine = nodes_.at(id).engine.get();
  kddm::Outbox out = engine->TakeOutbox();
  for (kddm::Sending& sending : out.sendings) SendOn(id, std::move(sending));
  for (const kddm::HoldTimer& timer : out.hold_timers) {
    scheduler_.After(profile_.max_hold, [this, id, timer, life = nodes_.at(id).life] {
      if (nodes_.at(id).life != life) return;
      Feed(id, timer.key, [&timer](kddm::Engine& e) { e.ExpireHolds(timer.key, timer.token); });
    });
  }
  for (const kddm::LinkerWork& work : out.linker_works) {
    scheduler_.After(Delay(), [this, id, work, life = nodes_.at(id).life, at = engine->epoch()] {
      if (nodes_.at(id).life == life && nodes_.at(id).engine != nullptr) Work(id, work, at);
    });
  }
  for (const kddm::OpId hold : out.revoked) listener_.OnRevoked(id, hold);
  for (const kddm::Completion& completion : out.completions) {
    listener_.OnCompletion(id, completion);
  }
  for (const kddm::Change& change : out.changes) listener_.OnChange(id, change);
}

TimeNs Cluster::Delay() {
  const TimeNs delay = prng_.Between(profile_.delay_min, profile_.delay_max);
  return prng_.Chance(profile_.slow_in_100, 100) ? 10 * delay : delay;
}

void Cluster::SendOn(NodeId from, kddm::Sending sending) {
  ++messages_;
  if (sending.message.kind == kddm::Kind::kSettled && sending.message.epoch == epoch_) {
    told_shortage_ = std::max(told_shortage_, sending.message.report->failures);
  }
  trace_.Note(from, kddm::KindName(sending.message.kind),
              sending.to * 1000u + (sending.message.key.object & 255), sending.message.stamp,
              sending.message.version);
  const ChannelId id{from, sending.to, kddm::LaneOf(sending.message)};
  Channel& channel = channels_[id];
  const uint64_t life_from = nodes_.at(from).life, life_to = nodes_.at(sending.to).life;
  if (channel.life_to != life_to) channel.queue.clear();
  channel.life_from = life_from;
  channel.life_to = life_to;
  channel.last = std::max(channel.last, scheduler_.Now() + Delay());
  channel.queue.emplace_back(channel.last, std::move(sending.message));
  Kick(id);
}

void Cluster::Kick(const ChannelId& id) {
  Channel& channel = channels_.at(id);
  const auto& [from, to, lane] = id;
  if (channel.scheduled || channel.queue.empty()) return;
  if (nodes_.at(from).isolated || nodes_.at(to).isolated) return;
  channel.scheduled = true;
  scheduler_.At(channel.queue.front().first, [this, id] { DeliverNext(id); });
}

void Cluster::DeliverNext(const ChannelId& id) {
  Channel& channel = channels_.at(id);
  channel.scheduled = false;
  const NodeId from = std::get<0>(id), to = std::get<1>(id);
  Node& target = nodes_.at(to);
  if (target.life != channel.life_to || target.engine == nullptr) channel.queue.clear();
  if (channel.queue.empty() || target.isolated || nodes_.at(from).isolated) return;
  if (channel.queue.front().first > scheduler_.Now()) return Kick(id);
  const kddm::Message message = std::move(channel.queue.front().second);
  channel.queue.pop_front();
  Kick(id);
  trace_.Note(to, kddm::KindName(message.kind), 100000u + from * 1000u + (message.key.object & 255),
              message.stamp, message.request);
  Feed(to, message.key, [&](kddm::Engine& engine) { engine.Deliver(from, message); });
}

// What stands behind a linker outlives its node, so it must refuse who is not home any more: it
// knows the highest epoch that an object was asked for in.
void Cluster::Work(NodeId id, const kddm::LinkerWork& work, kddm::Epoch epoch) {
  using What = kddm::LinkerWork::What;
  Stored& stored = linked_[{work.key.set, work.key.object}];
  const bool ok = epoch >= stored.fence && engine(id)->homes().HomeOf(work.key) == id;
  kddm::Data imported;
  if (ok) {
    stored.fence = epoch;
    if (work.what == What::kImport) {
      imported = stored.data;
    } else if (work.what != What::kSync) {
      stored.data = work.data;
      stored.version = work.version;
    }
  }
  Feed(id, work.key, [&](kddm::Engine& e) { e.LinkerDone(work.key, work.token, ok, imported); });
}

std::vector<NodeId> Cluster::Expendable() const {
  std::vector<NodeId> all;
  for (const auto& [id, node] : nodes_) {
    if (node.engine != nullptr && !node.isolated && view_.contains(id)) all.push_back(id);
  }
  return all.size() >= 2 ? all : std::vector<NodeId>();
}

void Cluster::CountFailure() {
  if (Settled()) {
    failures_ = told_shortage_;
    for (const auto& [id, node] : nodes_) {
      if (node.engine == nullptr) continue;
      failures_ = std::max(failures_, node.engine->home().Shortage());
    }
    settled_members_ = view_.size();
  }
  ++failures_;
  for (size_t copies = 1; copies < lossy_.size(); ++copies) {
    lossy_[copies] = lossy_[copies] || failures_ >= std::min(copies, settled_members_);
  }
}

bool Cluster::Lossless(kddm::SetId set) const {
  return kddm::IsLinked(set) || !lossy_[kddm::CopiesOf(set)];
}

void Cluster::Stop(NodeId id) {
  Node& node = nodes_.at(id);
  node.engine.reset();
  node.store.reset();
  node.isolated = false;
  for (auto& [channel_id, channel] : channels_) {
    if (std::get<1>(channel_id) == id) channel.queue.clear();
    if (std::get<0>(channel_id) != id || channel.queue.empty()) continue;
    const size_t kept = prng_.Below(channel.queue.size() + 1);
    channel.queue.resize(kept);
    if (!channel.scheduled) Kick(channel_id);
  }
  listener_.OnDown(id);
}

void Cluster::Down(NodeId id) {
  Stop(id);
  // The others agree on a view without it.
  scheduler_.After(Delay() + prng_.Below(kMs), [this, id] {
    if (nodes_.at(id).engine != nullptr || view_.erase(id) == 0) return;
    Agree();
  });
}

void Cluster::Crash(NodeId id) {
  trace_.Note(id, "crashes");
  CountFailure();
  Down(id);
}

void Cluster::Bounce(NodeId id) {
  trace_.Note(id, "crashes, and is about to be back");
  CountFailure();
  Stop(id);
  scheduler_.After(Delay() + prng_.Below(kMs), [this, id] { TakeBack(id); });
}

void Cluster::Isolate(NodeId id) {
  trace_.Note(id, "is isolated");
  nodes_.at(id).isolated = true;
}

void Cluster::Reconnect(NodeId id) {
  trace_.Note(id, "is reconnected");
  nodes_.at(id).isolated = false;
  for (auto& [channel_id, channel] : channels_) {
    const bool its = std::get<0>(channel_id) == id || std::get<1>(channel_id) == id;
    if (its) Kick(channel_id);
  }
}

// Its lease is over: it stops before anybody agrees on a view without it.
void Cluster::CutOff(NodeId id) {
  trace_.Note(id, "is cut off");
  CountFailure();
  nodes_.at(id).engine->CutOff();
  Flush(id);
  Down(id);
}

void Cluster::Restart(NodeId id) {
  if (nodes_.at(id).engine != nullptr || view_.contains(id)) return;
  trace_.Note(id, "starts");
  view_.insert(id);
  Boot(id);
  Agree();
}

bool Cluster::Settled() const {
  for (const auto& [id, node] : nodes_) {
    if (node.engine == nullptr) {
      if (view_.contains(id)) return false;
      continue;
    }
    if (node.isolated || node.engine->epoch() != epoch_) return false;
    if (!node.engine->home().all_settled()) return false;
  }
  return true;
}

bool Cluster::Quiet() const {
  return std::all_of(channels_.begin(), channels_.end(),
                     [](const auto& channel) { return channel.second.queue.empty(); });
}

std::string Cluster::CheckExclusion(const kddm::ObjectKey& key) const {
  NodeId exclusive = 0, readable = 0;
  for (const auto& [id, node] : nodes_) {
    if (node.engine == nullptr) continue;
    const kddm::State state = node.engine->holder().Access(key);
    if (state == kddm::State::kInvalid) continue;
    const bool second = exclusive != 0 || (state == kddm::State::kExclusive && readable != 0);
    if (second) {
      return "object " + std::to_string(key.object & 255) + " is exclusive beside a copy on node " +
             std::to_string(id) + " and " + std::to_string(exclusive != 0 ? exclusive : readable);
    }
    (state == kddm::State::kExclusive ? exclusive : readable) = id;
  }
  return "";
}

std::string Cluster::CheckAtRest(const std::vector<kddm::ObjectKey>& keys) const {
  for (const auto& [id, node] : nodes_) {
    if (node.engine == nullptr) continue;
    if (node.engine->home().busy_objects() > 0) {
      return "node " + std::to_string(id) + " is busy for ever with" + BusyObjects(*node.engine);
    }
  }
  for (const kddm::ObjectKey& key : keys) {
    const std::string name = "object " + std::to_string(key.object & 255);
    std::map<kddm::Version, size_t> holders;
    std::map<kddm::Version, NodeId> last_holder;
    bool exclusive = false;
    kddm::Version readable = 0;
    for (const auto& [id, node] : nodes_) {
      const kddm::Copy* copy = node.engine == nullptr ? nullptr : node.engine->holder().Find(key);
      if (copy == nullptr) continue;
      if (copy->active) return name + " is busy on node " + std::to_string(id);
      if (copy->content == kddm::Content::kData) {
        ++holders[copy->version];
        last_holder[copy->version] = id;
      }
      exclusive = exclusive || copy->state == kddm::State::kExclusive;
      if (copy->state != kddm::State::kInvalid) readable = copy->version;
    }
    if (readable == 0 || exclusive) continue;
    if (holders.rbegin()->first != readable) return name + ": what is read is not the newest";
    const size_t wanted = std::min(kddm::CopiesOf(key.set), view_.size());
    if (holders[readable] < wanted) {
      return name + " has " + std::to_string(holders[readable]) + " copies of the " +
             std::to_string(wanted) + " that its set wants";
    }
    if (holders.size() > 1) {
      return name + ": a copy of version " + std::to_string(holders.begin()->first) +
             " was left over on node " + std::to_string(last_holder.begin()->second);
    }
  }
  return "";
}

}  // namespace clustix::sim
