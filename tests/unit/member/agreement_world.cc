// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/member/agreement_world.h"

#include <algorithm>
#include <utility>

namespace clustix::member {
namespace {

constexpr size_t kSteps = 600;
constexpr size_t kHealRounds = 40;

bool Same(const AgreedView& a, const AgreedView& b) { return a == b; }
bool Same(const View& a, const View& b) { return a.epoch == b.epoch && a.members == b.members; }

// Whether two nodes agree on all views from when on both are there until what both have.
template <typename Views>
bool Agree(const Views& one, const Views& two) {
  if (one.empty() || two.empty()) return true;
  const uint32_t from = std::max(one.front().epoch, two.front().epoch);
  const uint32_t to = std::min(one.back().epoch, two.back().epoch);
  auto common = [from, to](const Views& all) {
    Views some;
    for (const auto& view : all) {
      if (from <= view.epoch && view.epoch <= to) some.push_back(view);
    }
    return some;
  };
  const Views left = common(one), right = common(two);
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const auto& a, const auto& b) { return Same(a, b); });
}

}  // namespace

AgreementWorld::AgreementWorld(uint64_t seed)
    : prng_(seed * 0x9e3779b97f4a7c15u + 0x76696577),
      nodes_(static_cast<NodeId>(prng_.Between(1, 5))) {}

void AgreementWorld::Fail(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

NodeId AgreementWorld::AnyNode() { return static_cast<NodeId>(prng_.Between(1, nodes_)); }

void AgreementWorld::Boot(NodeId node) {
  Process& process = processes_[node];
  std::vector<NodeId> nodes;
  for (NodeId other = nodes_; other >= 1; --other) nodes.push_back(other);
  process.life = ++last_life_;
  node_of_[process.life] = node;
  process.agreement = std::make_unique<Agreement>(node, process.life, nodes);
  process.agreement->Start();
  Flush(node);
}

std::string AgreementWorld::Run() {
  for (NodeId node = 1; node <= nodes_; ++node) Boot(node);
  for (size_t step = 0; step < kSteps && violation_.empty(); ++step) Step();
  if (violation_.empty()) Heal();
  return violation_;
}

void AgreementWorld::Step() {
  const NodeId node = AnyNode();
  const auto found = processes_.find(node);
  const uint64_t draw = prng_.Below(100);
  if (found == processes_.end()) {
    if (draw < 40) Boot(node);
    return;
  }
  Agreement& agreement = *found->second.agreement;
  if (draw < 2) {
    processes_.erase(found);
    return;
  }
  if (draw < 8) {
    agreement.Repeat();
  } else if (draw < 10) {
    agreement.OnReach(AnyNode(), prng_.Chance(2, 3));
  } else if (draw < 14) {
    found->second.predecessor_ended = true;
    agreement.PredecessorEnded();
  } else if (!flying_.empty()) {
    const size_t index = prng_.Below(flying_.size());
    if (prng_.Chance(1, 20)) {
      flying_.erase(flying_.begin() + static_cast<ptrdiff_t>(index));
    } else {
      Deliver(index, prng_.Chance(1, 20));
    }
    return;
  }
  Flush(node);
}

void AgreementWorld::Deliver(size_t index, bool again) {
  const Flying message = flying_[index];
  if (!again) flying_.erase(flying_.begin() + static_cast<ptrdiff_t>(index));
  const auto to = processes_.find(message.to);
  if (to == processes_.end()) return;
  Life& heard = to->second.heard[message.from];
  if (message.life < heard) return;
  heard = message.life;
  const absl::StatusOr<ViewMessage> decoded = DecodeViewMessage(message.bytes);
  if (!decoded.ok()) return Fail("a message does not survive its encoding");
  to->second.agreement->OnMessage(message.from, *decoded);
  Flush(message.to);
}

void AgreementWorld::Flush(NodeId node) {
  Process& process = processes_.at(node);
  const Agreement::Outbox out = process.agreement->TakeOutbox();
  for (const Agreement::Sending& sending : out.sendings) {
    flying_.push_back({.from = node,
                       .to = sending.to,
                       .life = process.life,
                       .bytes = EncodeViewMessage(sending.message)});
  }
  if (!out.views.empty()) CheckInstalled(node, out.views);
}

void AgreementWorld::CheckInstalled(NodeId node, const std::vector<View>& views) {
  Process& process = processes_.at(node);
  for (const View& view : views) {
    const bool ascends = process.views.empty() || process.views.back().epoch < view.epoch;
    if (!ascends) Fail("epochs go back on node " + std::to_string(node));
    process.views.push_back(view);
  }
  // The base of an acceptance may have come with the rest: then two were decided.
  const AgreedView& view = process.agreement->installed();
  const bool first = process.decided.empty();
  if (!first) {
    for (const Member& member : view.members) {
      if (process.decided.back().LifeOf(member.node) == member.life) continue;
      const bool was_out = std::any_of(views.begin(), views.end(), [&member](const View& some) {
        return std::find(some.members.begin(), some.members.end(), member.node) ==
               some.members.end();
      });
      if (!was_out) Fail("a node that has restarted was never out");
    }
  }
  process.decided.push_back(view);
  CheckEpoch(node, view, first);
  CheckThatAllHaveMet(view);
  for (const auto& [other, known] : processes_) CheckAgainst(node, other);
}

// What somebody may have installed before is not used again by those who could mistake it.
void AgreementWorld::CheckEpoch(NodeId node, const AgreedView& view, bool first) {
  if (std::find(sequence_.begin(), sequence_.end(), view) != sequence_.end()) return;
  ++decisions_;
  const auto survives = [&view](const auto& entry) {
    return !entry.second.decided.empty() && entry.second.decided.back().epoch < view.epoch;
  };
  const bool somebody_has_gone_on = std::any_of(processes_.begin(), processes_.end(), survives);
  if (view.epoch == 1) {
    if (somebody_has_gone_on) Fail("begins anew although a node has a view");
    sequence_.clear();
  } else if (!sequence_.empty() && view.epoch <= sequence_.back().epoch + 1) {
    Fail("the epoch " + std::to_string(view.epoch) + " is used again");
  }
  if (first && view.epoch != 1 && !processes_.at(node).predecessor_ended) {
    Fail("node " + std::to_string(node) + " is back while its former life may be relied on");
  }
  sequence_.push_back(view);
}

// What a member sends from now on must reach the others in the lives that they are in.
void AgreementWorld::CheckThatAllHaveMet(const AgreedView& view) {
  for (auto& [node, process] : processes_) {
    if (view.LifeOf(node) != process.life) continue;
    for (const Member& other : view.members) {
      if (other.node == node || process.heard[other.node] >= other.life) continue;
      Fail("node " + std::to_string(node) + " has not met node " + std::to_string(other.node));
    }
  }
}

void AgreementWorld::CheckAgainst(NodeId node, NodeId other) {
  const Process& one = processes_.at(node);
  const Process& two = processes_.at(other);
  if (Agree(one.decided, two.decided) && Agree(one.views, two.views)) return;
  Fail("nodes " + std::to_string(node) + " and " + std::to_string(other) + " differ");
}

// From here on nothing is lost: soon all are in one view.
void AgreementWorld::Heal() {
  for (NodeId node = 1; node <= nodes_; ++node) {
    if (!processes_.contains(node)) Boot(node);
  }
  for (auto& [node, process] : processes_) {
    process.predecessor_ended = true;
    process.agreement->PredecessorEnded();
    for (NodeId other = 1; other <= nodes_; ++other) process.agreement->OnReach(other, true);
    Flush(node);
  }
  for (size_t round = 0; round < kHealRounds && violation_.empty(); ++round) {
    while (!flying_.empty() && violation_.empty()) Deliver(prng_.Below(flying_.size()), false);
    const bool settled = std::all_of(processes_.begin(), processes_.end(), [](const auto& entry) {
      return entry.second.agreement->settled();
    });
    if (settled) return;
    for (auto& [node, process] : processes_) {
      if (process.agreement->settled()) continue;
      process.agreement->Repeat();
      Flush(node);
    }
  }
  std::string how = "does not settle";
  for (auto& [node, process] : processes_) {
    how += "; node " + std::to_string(node) + ": " + process.agreement->Explain();
  }
  Fail(how);
}

}  // namespace clustix::member
