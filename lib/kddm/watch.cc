// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/watch.h"

#include <utility>

#include "lib/kddm/limits.h"

namespace clustix::kddm {
namespace {

ObjectKey FirstOf(const WatchRange& range) { return {.object = range.first, .set = range.set}; }

// Whether all commits of the range happen at the home of its only object.
bool HasOneHome(const WatchRange& range) {
  return range.first == range.last && !IsVolatile(range.set);
}

}  // namespace

void Watches::Start(OpId id, const WatchRange& range) {
  const bool valid = range.first <= range.last;
  if (!valid || watches_.size() >= kWatchesMax) {
    const Status status = valid ? Status::kNoSpace : Status::kBadRequest;
    context_.out.completions.push_back({.op = id, .status = status});
    return;
  }
  Watch& watch = watches_[id];
  watch.range = range;
  if (context_.homes.epoch() == 0) return;
  if (HasOneHome(range)) {
    watch.home = context_.homes.HomeOf(FirstOf(range));
    return Tell(id, watch, watch.home);
  }
  for (const NodeId node : context_.homes.members()) Tell(id, watch, node);
}

void Watches::Tell(OpId id, Watch& watch, NodeId node) {
  watch.waiting.insert(node);
  Message message{.kind = Kind::kWatch, .key = FirstOf(watch.range), .request = id};
  message.stamp = watch.range.last;
  context_.Send(node, std::move(message));
}

void Watches::Untell(OpId id, const Watch& watch) {
  auto tell = [&](NodeId node) {
    context_.Send(node, {.kind = Kind::kUnwatch, .key = FirstOf(watch.range), .request = id});
  };
  if (watch.home != kNoNode) return tell(watch.home);
  for (const NodeId node : context_.homes.members()) tell(node);
}

void Watches::Stop(OpId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  Untell(id, found->second);
  watches_.erase(found);
}

bool Watches::Cancel(OpId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return false;
  if (found->second.begun) return true;  // that is for Stop()
  Stop(id);
  context_.out.completions.push_back({.op = id, .status = Status::kCancelled});
  return true;
}

void Watches::CutOff() {
  for (const auto& [id, watch] : watches_) {
    if (watch.begun) continue;
    context_.out.completions.push_back({.op = id, .status = Status::kUnavailable});
  }
  watches_.clear();
}

void Watches::InstallView(const HomeMap& before) {
  for (auto& [id, watch] : watches_) {
    if (HasOneHome(watch.range)) {
      FollowHome(id, watch);
    } else {
      FollowMembers(id, watch, before);
    }
    AdvanceIfKnown(id, watch);
  }
}

void Watches::FollowHome(OpId id, Watch& watch) {
  const NodeId home = context_.homes.HomeOf(FirstOf(watch.range));
  if (home == watch.home) return;
  if (watch.home != kNoNode) Untell(id, watch);
  watch.home = home;
  watch.waiting.clear();
  watch.stale = watch.begun;
  Tell(id, watch, home);
}

void Watches::FollowMembers(OpId id, Watch& watch, const HomeMap& before) {
  const HomeMap& now = context_.homes;
  for (const NodeId node : before.members()) {
    if (now.IsMember(node)) continue;
    watch.waiting.erase(node);
    watch.stale = watch.begun;
  }
  for (const NodeId node : now.members()) {
    if (before.IsMember(node)) continue;
    Tell(id, watch, node);
    watch.stale = watch.begun;
  }
}

void Watches::OnWatchAck(NodeId from, const Message& message) {
  const auto found = watches_.find(message.request);
  if (found == watches_.end() || found->second.waiting.erase(from) == 0) return;
  AdvanceIfKnown(found->first, found->second);
}

void Watches::AdvanceIfKnown(OpId id, Watch& watch) {
  if (!watch.waiting.empty()) return;
  if (!std::exchange(watch.begun, true)) {
    context_.out.completions.push_back({.op = id, .status = Status::kOk});
  } else if (std::exchange(watch.stale, false)) {
    context_.out.changes.push_back({.watch = id, .any = true});
  }
}

// Before a watch has begun nobody has been promised anything.
void Watches::OnChanged(NodeId from, const Message& message) {
  for (const Change& change : *message.changes) {
    const auto found = watches_.find(change.watch);
    if (found != watches_.end() && found->second.begun) context_.out.changes.push_back(change);
  }
  context_.Send(from, {.kind = Kind::kChangedAck});
}

}  // namespace clustix::kddm
