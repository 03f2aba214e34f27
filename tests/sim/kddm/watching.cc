// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/watching.h"

#include <algorithm>

namespace clustix::sim {

void Watching::OnUp(NodeId node) {
  for (size_t i = 0; i < profile_.watches_per_node; ++i) {
    scheduler_.After(prng_.Below(profile_.faults_end / 2), [this, node] { Begin(node); });
  }
}

void Watching::Begin(NodeId node) {
  if (cluster_->engine(node) == nullptr) return;
  const kddm::ObjectKey& key = profile_.objects[prng_.Below(profile_.objects.size())];
  kddm::WatchRange range{.set = key.set, .first = key.object, .last = key.object};
  if (prng_.Chance(1, 3)) range.first = 0;
  if (prng_.Chance(1, 3)) range.last = UINT64_MAX;
  const kddm::OpId id = next_++;
  watches_[id] = {.node = node, .range = range, .versions = {}};
  cluster_->Feed(node, {}, [&](kddm::Engine& engine) { engine.Watch(id, range); });
  if (!prng_.Chance(1, 4)) return;
  scheduler_.After(prng_.Below(profile_.faults_end), [this, id] {
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    const NodeId watching = found->second.node;
    // One that has not begun is cancelled, and says so.
    const bool begun = found->second.begun;
    if (begun) watches_.erase(found);
    cluster_->Feed(watching, {}, [id, begun](kddm::Engine& engine) {
      begun ? engine.Unwatch(id) : engine.Cancel(id);
    });
  });
}

void Watching::OnDown(NodeId node) {
  std::erase_if(watches_, [node](const auto& watch) { return watch.second.node == node; });
}

void Watching::OnBegun(const kddm::Completion& completion, uint64_t now) {
  const auto found = watches_.find(completion.op);
  if (found == watches_.end() || found->second.begun) {
    violation_ = "a watch begins that is none, or twice";
    return;
  }
  if (completion.status != kddm::Status::kOk) {
    watches_.erase(found);
    return;
  }
  found->second.begun = true;
  found->second.since = now;
}

void Watching::OnChange(NodeId node, const kddm::Change& change, uint64_t now) {
  const auto found = watches_.find(change.watch);
  if (found == watches_.end() || found->second.node != node || !found->second.begun) {
    violation_ = "a change is told of a watch that is none";
    return;
  }
  Watch& watch = found->second;
  if (change.any) {
    watch.told_all = now;
    return;
  }
  if (!watch.range.Covers({.object = change.object, .set = watch.range.set})) {
    violation_ = "a change is told of what is not watched";
  }
  kddm::Version& version = watch.versions[change.object];
  version = std::max(version, change.version);
}

void Watching::OnCommit(const kddm::ObjectKey& key, uint64_t began, kddm::Version version) {
  commits_.push_back({.key = key, .began = began, .version = version});
}

std::string Watching::Judge() const {
  if (!violation_.empty()) return violation_;
  size_t known = 0, expected = 0;
  for (const auto& [id, watch] : watches_) {
    if (!watch.begun) return "a watch does not begin";
    const bool one_home =
        watch.range.first == watch.range.last && !kddm::IsVolatile(watch.range.set);
    expected += one_home ? 1 : profile_.nodes;
    for (const Commit& commit : commits_) {
      if (!watch.range.Covers(commit.key) || commit.began <= watch.since) continue;
      if (watch.told_all > commit.began) continue;
      const auto told = watch.versions.find(commit.key.object);
      if (told != watch.versions.end() && told->second >= commit.version) continue;
      return "node " + std::to_string(watch.node) + " watches object " +
             std::to_string(commit.key.object & 255) + ", and misses version " +
             std::to_string(commit.version);
    }
  }
  for (NodeId node = 1; node <= profile_.nodes; ++node) {
    known += cluster_->engine(node)->watchers().size();
    if (cluster_->engine(node)->watchers().untold() > 0) return "a change is never told";
  }
  if (known != expected) {
    return "nodes know of " + std::to_string(known) + " watches instead of " +
           std::to_string(expected);
  }
  return "";
}

}  // namespace clustix::sim
