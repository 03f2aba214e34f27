// SPDX-License-Identifier: Apache-2.0
//
// Who belongs to the cluster and how each node is doing, as this node sees it.
//
// The nodes are those of the configuration, whatever their state. On what they do together they
// agree by views (agreement.h).
//
// Pure: no clock, no I/O; events come in from whoever listens to the messenger. One thread at a
// time.
#ifndef CLUSTIX_LIB_MEMBER_NODE_TABLE_H_
#define CLUSTIX_LIB_MEMBER_NODE_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"

namespace clustix::member {

struct Node {
  NodeId id = 0;
  std::string name;
  std::string address;
};

struct NodeEntry {
  Node node;
  bool self = false;
  // Of a peer. How much it may be counted on: kUp and kPathDown (reconnecting, nothing lost) answer
  // as a rule, the others do not.
  PeerState state = PeerState::kConnecting;
  uint64_t reboots = 0;
};

class NodeTable {
 public:
  // kInvalidArgument: an id is out of range or there twice, or `self` is not among the nodes.
  static absl::StatusOr<NodeTable> Create(NodeId self, std::vector<Node> nodes);

  NodeId self() const { return self_; }
  // By ascending id.
  const std::vector<NodeEntry>& entries() const { return entries_; }
  // nullptr: not configured. O(log n).
  const NodeEntry* Find(NodeId id) const;
  // The same, their ids alone.
  std::vector<NodeId> ids() const;

  // What the messenger reports of a peer. Returns whether anything changed; an event of a node that
  // is not configured, or of this one, changes nothing.
  bool OnEvent(NodeId id, PeerEvent event);

 private:
  NodeTable(NodeId self, std::vector<NodeEntry> entries)
      : self_(self), entries_(std::move(entries)) {}

  NodeId self_;
  std::vector<NodeEntry> entries_;
};

// Whether a node in this state is worth waiting for.
bool IsReachable(PeerState state);

}  // namespace clustix::member

#endif  // CLUSTIX_LIB_MEMBER_NODE_TABLE_H_
