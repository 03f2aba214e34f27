// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/home_map.h"

#include <algorithm>
#include <cassert>

#include "lib/kddm/limits.h"

namespace clustix::kddm {
namespace {

uint64_t Score(Bucket bucket, NodeId node) {
  return Mix((static_cast<uint64_t>(bucket) << 16 | node) * 0x9e3779b97f4a7c15u + 1);
}

}  // namespace

HomeMap::HomeMap(size_t hash_buckets, size_t placed_nodes)
    : hash_buckets_(hash_buckets),
      since_(kNodesMax + 1, 0),
      homes_(hash_buckets + placed_nodes + 1) {}

void HomeMap::Install(const member::View& view) {
  assert(view.epoch > epoch_ && !view.members.empty());
  epoch_ = view.epoch;
  std::vector<Epoch> since(since_.size(), 0);
  for (const NodeId node : view.members) {
    since[node] = since_[node] != 0 ? since_[node] : epoch_;
  }
  since_ = std::move(since);
  members_ = view.members;
  for (size_t bucket = 0; bucket < homes_.size(); ++bucket) {
    const NodeId home = Winner(static_cast<Bucket>(bucket));
    if (homes_[bucket].node != home) homes_[bucket] = {.node = home, .since = epoch_};
  }
}

Bucket HomeMap::BucketOf(const ObjectKey& key) const {
  NodeId node = kNoNode;
  if (PlacementOf(key.set) == Placement::kCreator) node = CreatorOf(key.set);
  if (PlacementOf(key.set) == Placement::kIdBits) node = static_cast<NodeId>(key.object >> 48);
  if (node != kNoNode && hash_buckets_ + node < homes_.size()) {
    return static_cast<Bucket>(hash_buckets_ + node);
  }
  return static_cast<Bucket>(HashKey(key) % hash_buckets_);
}

NodeId HomeMap::Winner(Bucket bucket) const {
  if (bucket >= hash_buckets_) {
    const NodeId node = static_cast<NodeId>(bucket - hash_buckets_);
    if (IsMember(node)) return node;
  }
  NodeId best = kNoNode;
  uint64_t best_score = 0;
  for (const NodeId node : members_) {
    const uint64_t score = Score(bucket, node);
    if (best == kNoNode || score > best_score) {
      best = node;
      best_score = score;
    }
  }
  return best;
}

std::vector<NodeId> HomeMap::Rank(Bucket bucket) const {
  std::vector<NodeId> rank = members_;
  std::sort(rank.begin(), rank.end(), [bucket](NodeId a, NodeId b) {
    const uint64_t score_a = Score(bucket, a), score_b = Score(bucket, b);
    return score_a != score_b ? score_a > score_b : a < b;
  });
  const auto home = std::find(rank.begin(), rank.end(), HomeOf(bucket));
  if (home != rank.end()) std::rotate(rank.begin(), home, home + 1);
  return rank;
}

}  // namespace clustix::kddm
