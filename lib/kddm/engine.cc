// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/engine.h"

#include <map>
#include <memory>
#include <utility>

namespace clustix::kddm {

Engine::Engine(NodeId self, const EngineConfig& config, Store& store)
    : context_(self, config.hash_buckets, config.placed_nodes, store),
      holder_(context_, store),
      home_(context_, holder_),
      migrations_(context_, holder_),
      watches_(context_),
      watchers_(context_) {}

void Engine::InstallView(const member::View& view) {
  const HomeMap before = context_.homes;
  context_.homes.Install(view);
  const HomeMap& now = context_.homes;
  for (size_t node = 0; node < context_.rooms.size(); ++node) {
    if (!now.IsMember(static_cast<NodeId>(node))) context_.rooms[node] = 0;
  }
  // Buckets whose home is new are rebuilt there from what everybody holds. A node that has just
  // come knows nothing of the homes before, and tells all.
  auto changed = [&now](const ObjectKey& key) {
    return now.HomeSince(now.BucketOf(key)) == now.epoch();
  };
  std::map<NodeId, std::shared_ptr<Report>> reports;
  for (const NodeId node : now.members()) reports[node] = std::make_shared<Report>();
  for (const ReportEntry& mark : home_.InstallView(before)) {
    reports[now.HomeOf(mark.key)]->entries.push_back(mark);
  }
  for (auto& [node, report] : reports) {
    report->fresh = before.epoch() == 0;
    home_.AddDoubts(*report, [&now, to = node](Bucket bucket) {
      return now.HomeOf(bucket) == to && now.HomeSince(bucket) == now.epoch();
    });
  }
  holder_.OnHomesChanged(changed, [&](const ReportEntry& entry) {
    reports[now.HomeOf(entry.key)]->entries.push_back(entry);
  });
  for (auto& [node, report] : reports) home_.SendReport(node, std::move(report));
  migrations_.InstallView();
  watchers_.InstallView();
  watches_.InstallView(before);
  Settle();
  // Messages of this view that came before it did.
  std::deque<std::pair<NodeId, Message>> early = std::exchange(future_, {});
  for (const auto& [from, message] : early) Deliver(from, message);
  while (!unstarted_.empty()) {
    Operation operation = std::move(unstarted_.front());
    unstarted_.pop_front();
    Start(std::move(operation));
  }
}

bool Engine::Counts(NodeId from, const Message& message) const {
  const HomeMap& homes = context_.homes;
  const Epoch since = homes.MemberSince(from);
  if (since == 0 || message.epoch < since) return false;
  // What is not about a bucket.
  if (message.kind >= Kind::kReport) return true;
  return message.epoch >= homes.HomeSince(homes.BucketOf(message.key));
}

void Engine::Deliver(NodeId from, const Message& message) {
  if (message.epoch > context_.homes.epoch()) {
    future_.emplace_back(from, message);
    return;
  }
  if (!Counts(from, message)) return;
  context_.rooms[from] = message.room;
  Handle(from, message);
  Settle();
}

void Engine::Handle(NodeId from, const Message& message) {
  switch (message.kind) {
    case Kind::kReply:
      return holder_.OnReply(from, message);
    case Kind::kInv:
      return holder_.OnInv(from, message);
    case Kind::kRecall:
      return holder_.OnRecall(from, message);
    case Kind::kBackup:
      return holder_.OnBackup(from, message);
    case Kind::kPull:
      return holder_.OnPull(from, message);
    case Kind::kQuery:
      return holder_.OnQuery(from, message);
    case Kind::kReport:
      return home_.OnReport(from, message);
    case Kind::kSettled:
      return home_.OnSettled(from, message);
    case Kind::kWatch:
      return watchers_.OnWatch(from, message);
    case Kind::kUnwatch:
      return watchers_.OnUnwatch(from, message);
    case Kind::kChangedAck:
      return watchers_.OnChangedAck(from);
    case Kind::kWatchAck:
      return watches_.OnWatchAck(from, message);
    case Kind::kChanged:
      return watches_.OnChanged(from, message);
    case Kind::kMigrate:
      return migrations_.OnMigrate(from, message);
    case Kind::kMigrated:
      return migrations_.OnMigrated(from, message);
    case Kind::kWrite:
      context_.out.writes_asked.push_back({.key = message.key, .by = from});
      return home_.OnMessage(from, message);
    default:
      return home_.OnMessage(from, message);
  }
}

void Engine::Settle() {
  do {
    while (!context_.loopback.empty()) {
      const Message message = std::move(context_.loopback.front());
      context_.loopback.pop_front();
      Handle(context_.self, message);
    }
    if (context_.homes.epoch() != 0) home_.TellWhenSettled();
    migrations_.Settle();
    watchers_.Tell();
  } while (!context_.loopback.empty());
}

void Engine::Start(Operation operation) {
  if (context_.homes.epoch() == 0) {
    unstarted_.push_back(std::move(operation));
    return;
  }
  holder_.Start(std::move(operation));
  Settle();
}

void Engine::Put(OpId op, OpId hold, Data data) {
  holder_.Put(op, hold, std::move(data));
  Settle();
}

void Engine::Release(OpId hold) {
  holder_.Release(hold);
  Settle();
}

void Engine::Cancel(OpId op) {
  for (auto at = unstarted_.begin(); at != unstarted_.end(); ++at) {
    if (at->id != op) continue;
    unstarted_.erase(at);
    context_.out.completions.push_back({.op = op, .status = Status::kCancelled});
    return;
  }
  if (!watches_.Cancel(op) && !migrations_.Cancel(op)) holder_.Cancel(op);
  Settle();
}

void Engine::Migrate(OpId op, const ObjectKey& key, NodeId to) {
  migrations_.Start(op, key, to);
  Settle();
}

void Engine::Watch(OpId watch, const WatchRange& range) {
  watches_.Start(watch, range);
  Settle();
}

void Engine::Unwatch(OpId watch) {
  watches_.Stop(watch);
  Settle();
}

void Engine::ExpireHolds(const ObjectKey& key, uint64_t token) {
  holder_.ExpireHolds(key, token);
  Settle();
}

bool Engine::MakeRoom(size_t bytes) {
  const bool fit = holder_.MakeRoom(bytes);
  if (!fit) holder_.Yield(bytes);
  Settle();
  return fit;
}

void Engine::LinkerDone(const ObjectKey& key, uint64_t token, bool ok, const Data& data) {
  home_.LinkerDone(key, token, ok, data);
  Settle();
}

void Engine::CutOff() {
  for (const Operation& operation : unstarted_) {
    context_.out.completions.push_back({.op = operation.id, .status = Status::kUnavailable});
  }
  unstarted_.clear();
  watches_.CutOff();
  holder_.CutOff();
  migrations_.CutOff();
}

}  // namespace clustix::kddm
