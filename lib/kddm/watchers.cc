// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/watchers.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "lib/kddm/limits.h"

namespace clustix::kddm {

size_t Watchers::size() const {
  size_t all = 0;
  for (const auto& [id, node] : nodes_) all += node.watches.size();
  return all;
}

bool Watchers::Covers(const ObjectKey& key) const {
  const auto set = sets_.find(key.set);
  if (set == sets_.end()) return false;
  return set->second.objects.contains(key.object) ||
         std::any_of(set->second.ranges.begin(), set->second.ranges.end(),
                     [&key](const Watcher& watcher) { return watcher.range.Covers(key); });
}

size_t Watchers::untold() const {
  size_t all = 0;
  for (const auto& [id, node] : nodes_) {
    for (const auto& [watch, news] : node.news) all += news.any ? 1 : news.changes.size();
  }
  return all;
}

void Watchers::OnWatch(NodeId from, const Message& message) {
  const WatchRange range{
      .set = message.key.set, .first = message.key.object, .last = message.stamp};
  Node& node = nodes_[from];
  // A node keeps to the limit itself: who does not is not answered.
  if (node.watches.size() >= kWatchesMax) return;
  if (node.watches.emplace(message.request, range).second) {
    Set& set = sets_[range.set];
    auto& watchers = range.first == range.last ? set.objects[range.first] : set.ranges;
    watchers.push_back({.node = from, .watch = message.request, .range = range});
    context_.watched = true;
    ++begun_;
  }
  context_.Send(from, {.kind = Kind::kWatchAck, .request = message.request});
}

void Watchers::OnUnwatch(NodeId from, const Message& message) {
  const auto node = nodes_.find(from);
  if (node == nodes_.end()) return;
  const auto watch = node->second.watches.find(message.request);
  if (watch == node->second.watches.end()) return;
  Erase(from, watch->first, watch->second);
  node->second.news.erase(watch->first);
  node->second.watches.erase(watch);
  context_.watched = !sets_.empty();
}

void Watchers::Erase(NodeId node, OpId watch, const WatchRange& range) {
  const auto set = sets_.find(range.set);
  auto erase = [&](std::vector<Watcher>& watchers) {
    std::erase_if(watchers, [&](const Watcher& w) { return w.node == node && w.watch == watch; });
    return watchers.empty();
  };
  if (range.first != range.last) {
    erase(set->second.ranges);
  } else if (erase(set->second.objects[range.first])) {
    set->second.objects.erase(range.first);
  }
  if (set->second.objects.empty() && set->second.ranges.empty()) sets_.erase(set);
}

void Watchers::InstallView() {
  std::erase_if(nodes_, [this](const auto& known) {
    const auto& [id, node] = known;
    if (context_.homes.IsMember(id)) return false;
    for (const auto& [watch, range] : node.watches) Erase(id, watch, range);
    return true;
  });
  context_.watched = !sets_.empty();
}

void Watchers::Tell() {
  if (context_.changed.empty()) return;
  std::set<NodeId> told;
  for (const Changed& changed : std::exchange(context_.changed, {})) {
    const auto set = sets_.find(changed.key.set);
    if (set == sets_.end()) continue;
    auto add = [&](const Watcher& watcher) {
      Add(watcher, changed);
      told.insert(watcher.node);
    };
    const auto object = set->second.objects.find(changed.key.object);
    if (object != set->second.objects.end()) {
      for (const Watcher& watcher : object->second) add(watcher);
    }
    for (const Watcher& watcher : set->second.ranges) {
      if (watcher.range.Covers(changed.key)) add(watcher);
    }
  }
  for (const NodeId id : told) Send(id, nodes_.at(id));
}

void Watchers::Add(const Watcher& watcher, const Changed& changed) {
  News& news = nodes_.at(watcher.node).news[watcher.watch];
  if (news.any) return;
  const Change change{.watch = watcher.watch,
                      .any = false,
                      .removed = changed.removed,
                      .object = changed.key.object,
                      .version = changed.version};
  const auto known =
      std::find_if(news.changes.begin(), news.changes.end(),
                   [&](const Change& earlier) { return earlier.object == change.object; });
  if (known != news.changes.end()) {
    *known = change;
  } else if (news.changes.size() < kWatchObjectsMax) {
    news.changes.push_back(change);
  } else {
    news = {.any = true, .changes = {}};
  }
}

void Watchers::Send(NodeId to, Node& node) {
  if (node.unanswered || node.news.empty()) return;
  auto changes = std::make_shared<Changes>();
  while (!node.news.empty()) {
    // In turn, so that none waits for ever behind busier ones.
    auto next = node.news.upper_bound(node.last);
    if (next == node.news.end()) next = node.news.begin();
    const News& news = next->second;
    if (changes->size() + std::max<size_t>(news.changes.size(), 1) > kChangesMax) break;
    if (news.any) changes->push_back({.watch = next->first, .any = true});
    changes->insert(changes->end(), news.changes.begin(), news.changes.end());
    node.last = next->first;
    node.news.erase(next);
  }
  node.unanswered = true;
  Message message{.kind = Kind::kChanged};
  message.changes = std::move(changes);
  context_.Send(to, std::move(message));
}

void Watchers::OnChangedAck(NodeId from) {
  const auto node = nodes_.find(from);
  if (node == nodes_.end()) return;
  node->second.unanswered = false;
  Send(from, node->second);
}

}  // namespace clustix::kddm
