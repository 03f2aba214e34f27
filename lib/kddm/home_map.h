// SPDX-License-Identifier: Apache-2.0
//
// Where objects are at home: hashed buckets, each at the member that wins its rendezvous (Thaler
// and Ravishankar 1998: the member with the highest hash of (bucket, member)), so that a view
// change moves only the buckets of the nodes that left or came. One bucket more per node holds the
// objects that are placed at that node; while it is not a member they go where a rendezvous sends
// them.
//
// It also remembers since which epoch each bucket has its home and each member is one. By that old
// messages are told: what was sent before then, about that bucket or by that node, no longer
// counts.
//
// Pure; one thread at a time.
#ifndef CLUSTIX_LIB_KDDM_HOME_MAP_H_
#define CLUSTIX_LIB_KDDM_HOME_MAP_H_

#include <cstddef>
#include <vector>

#include "lib/kddm/ids.h"
#include "lib/member/view.h"

namespace clustix::kddm {

class HomeMap {
 public:
  // `hash_buckets` is kHashBuckets and `placed_nodes` kPlacedNodes but for tests; the same on all
  // nodes. Nodes above `placed_nodes` have no bucket of their own.
  HomeMap(size_t hash_buckets, size_t placed_nodes);

  // Installs the next view. Epochs ascend; a node that restarted was out of at least one view.
  void Install(const member::View& view);

  Epoch epoch() const { return epoch_; }
  const std::vector<NodeId>& members() const { return members_; }
  bool IsMember(NodeId node) const { return node < since_.size() && since_[node] != 0; }
  // The epoch in which the member came. 0: not a member.
  Epoch MemberSince(NodeId node) const { return node < since_.size() ? since_[node] : 0; }

  size_t buckets() const { return homes_.size(); }
  Bucket BucketOf(const ObjectKey& key) const;
  NodeId HomeOf(Bucket bucket) const { return homes_[bucket].node; }
  NodeId HomeOf(const ObjectKey& key) const { return HomeOf(BucketOf(key)); }
  // The epoch in which the bucket's home became its home.
  Epoch HomeSince(Bucket bucket) const { return homes_[bucket].since; }

  // The members in the order in which they would be home of the bucket. O(n log n).
  std::vector<NodeId> Rank(Bucket bucket) const;

 private:
  struct Home {
    NodeId node = kNoNode;
    Epoch since = 0;
  };
  NodeId Winner(Bucket bucket) const;

  const size_t hash_buckets_;
  Epoch epoch_ = 0;
  std::vector<NodeId> members_;
  std::vector<Epoch> since_;  // by node
  std::vector<Home> homes_;   // by bucket
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_HOME_MAP_H_
