// SPDX-License-Identifier: Apache-2.0
#include "lib/member/node_table.h"

#include <algorithm>

#include "lib/base/status.h"
#include "lib/session/wire.h"

namespace clustix::member {
namespace {

bool ById(const NodeEntry& a, const NodeEntry& b) { return a.node.id < b.node.id; }

// The state that an event leads to. Only UP makes things better: a connection that is lost again
// during a silence (PATH_DOWN after SUSPECT) is no sign of life.
PeerState Next(PeerState state, PeerEvent event) {
  switch (event) {
    case PeerEvent::kUp:
      return PeerState::kUp;
    case PeerEvent::kPathDown:
      return state == PeerState::kUp ? PeerState::kPathDown : state;
    case PeerEvent::kSuspect:
      return state == PeerState::kDead ? state : PeerState::kSuspect;
    case PeerEvent::kDead:
      return PeerState::kDead;
    case PeerEvent::kRebooted:
      return state;  // UP tells when the new incarnation is connected
  }
  return state;
}

}  // namespace

absl::StatusOr<NodeTable> NodeTable::Create(NodeId self, std::vector<Node> nodes) {
  std::vector<NodeEntry> entries;
  bool has_self = false;
  for (Node& node : nodes) {
    if (node.id < KCCM_NODE_MIN || node.id > KCCM_NODE_MAX) {
      return absl::InvalidArgumentError(absl::StrCat("node id ", node.id, " is out of range"));
    }
    NodeEntry entry;
    entry.self = node.id == self;
    entry.node = std::move(node);
    has_self = has_self || entry.self;
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), ById);
  auto twice = std::adjacent_find(
      entries.begin(), entries.end(),
      [](const NodeEntry& a, const NodeEntry& b) { return a.node.id == b.node.id; });
  if (twice != entries.end()) {
    return absl::InvalidArgumentError(absl::StrCat("node ", twice->node.id, " is there twice"));
  }
  if (!has_self) {
    return absl::InvalidArgumentError(absl::StrCat("node ", self, " is not in the cluster"));
  }
  return NodeTable(self, std::move(entries));
}

const NodeEntry* NodeTable::Find(NodeId id) const {
  auto at = std::lower_bound(
      entries_.begin(), entries_.end(), id,
      [](const NodeEntry& entry, NodeId wanted) { return entry.node.id < wanted; });
  return at != entries_.end() && at->node.id == id ? &*at : nullptr;
}

std::vector<NodeId> NodeTable::ids() const {
  std::vector<NodeId> ids;
  for (const NodeEntry& entry : entries_) ids.push_back(entry.node.id);
  return ids;
}

bool NodeTable::OnEvent(NodeId id, PeerEvent event) {
  const NodeEntry* found = Find(id);
  if (found == nullptr || found->self) return false;
  NodeEntry& entry = entries_[static_cast<size_t>(found - entries_.data())];
  PeerState before = entry.state;
  entry.state = Next(before, event);
  if (event == PeerEvent::kRebooted) ++entry.reboots;
  return entry.state != before || event == PeerEvent::kRebooted;
}

bool IsReachable(PeerState state) {
  return state == PeerState::kUp || state == PeerState::kPathDown;
}

}  // namespace clustix::member
