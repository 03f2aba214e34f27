// SPDX-License-Identifier: Apache-2.0
#include "lib/member/agreement.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"

namespace clustix::member {
namespace {

std::vector<NodeId> Ascending(std::vector<NodeId> nodes) {
  std::sort(nodes.begin(), nodes.end());
  return nodes;
}

bool NamesExactly(const AgreedView& view, const std::vector<NodeId>& nodes) {
  return std::equal(view.members.begin(), view.members.end(), nodes.begin(), nodes.end(),
                    [](const Member& member, NodeId node) { return member.node == node; });
}

// "node 2", "nodes 2, 3".
std::string Named(const std::vector<NodeId>& nodes) {
  std::string text = nodes.size() == 1 ? "node " : "nodes ";
  for (size_t i = 0; i < nodes.size(); ++i) absl::StrAppend(&text, i == 0 ? "" : ", ", nodes[i]);
  return text;
}

}  // namespace

Agreement::Agreement(NodeId self, Life life, std::vector<NodeId> nodes)
    : self_(self), life_(life), nodes_(Ascending(std::move(nodes))), proposer_(nodes_.front()) {
  assert(life != 0);
  for (const NodeId node : nodes_) {
    if (node != self) peers_[node] = {};
  }
}

void Agreement::Start() {
  for (auto& [node, peer] : peers_) {
    // They may be there already; if not, the first one hears it when it comes.
    peer.reachable = true;
    SayHello(node);
    peer.reachable = false;
  }
  Advance();
}

void Agreement::PredecessorEnded() {
  predecessor_ended_ = true;
  Advance();
}

void Agreement::OnReach(NodeId node, bool reachable) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.reachable = reachable;
  if (reachable) SayHello(node);
}

void Agreement::Say(NodeId to, decltype(ViewMessage::what) what) {
  const Peer& peer = peers_.at(to);
  if (!peer.reachable) return;
  out_.sendings.push_back(
      {.to = to, .message = {.life = life_, .your_life = peer.life, .what = std::move(what)}});
}

void Agreement::SayHello(NodeId to) {
  Hello hello{.answered = peers_.at(to).met, .installed = {}, .highest_epoch = 0};
  if (to == proposer_) {
    hello.installed = installed_;
    hello.highest_epoch = highest_epoch_;
  }
  Say(to, std::move(hello));
}

void Agreement::Begin(NodeId node, Peer& peer, Life life) {
  peer = Peer();
  peer.life = life;
  out_.began.push_back(node);
  if (node != proposer_) return;
  // What its former life has not decided is never decided.
  offered_.reset();
  accepted_.reset();
  last_accepted_ = 0;
}

void Agreement::OnMessage(NodeId from, const ViewMessage& message) {
  const auto found = peers_.find(from);
  if (found == peers_.end() || message.life == 0) return;
  Peer& peer = found->second;
  const bool began = peer.life != message.life;
  if (began) Begin(from, peer, message.life);
  peer.reachable = true;
  const bool knows_us = message.your_life == life_;
  const Hello* hello = std::get_if<Hello>(&message.what);
  if (knows_us) {
    const auto* accept = std::get_if<Accept>(&message.what);
    const auto* proposal = std::get_if<Proposal>(&message.what);
    const auto* install = std::get_if<Install>(&message.what);
    if (hello != nullptr) OnHello(from, peer, *hello);
    if (accept != nullptr) peer.accepted = std::max(peer.accepted, accept->number);
    if (proposal != nullptr && from == proposer_) OnProposal(*proposal);
    if (install != nullptr && from == proposer_) OnInstall(*install);
  }
  // It does not know yet that it is known, or whom it talks to.
  if (began || !knows_us || (hello != nullptr && !hello->answered)) SayHello(from);
  Advance();
}

void Agreement::OnHello(NodeId from, Peer& peer, const Hello& hello) {
  peer.met = true;
  if (hello.installed.epoch >= peer.installed.epoch) peer.installed = hello.installed;
  peer.highest_epoch = std::max(peer.highest_epoch, hello.highest_epoch);
  if (!IsProposer()) return;
  const bool behind = peer.installed.epoch < installed_.epoch;
  if (behind && installed_.LifeOf(from) == peer.life) {
    Say(from, Install{.number = decided_number_});
  }
}

void Agreement::OnProposal(const Proposal& proposal) {
  if (proposal.number == last_accepted_) {  // that was not heard
    if (accepted_) Say(proposer_, Accept{.number = last_accepted_});
    return;
  }
  if (proposal.number > last_accepted_ && (!offered_ || proposal.number > offered_->number)) {
    offered_ = proposal;
  }
}

void Agreement::OnInstall(const Install& install) {
  if (!accepted_ || accepted_->number != install.number) return;
  InstallView(accepted_->next);
  accepted_.reset();
}

void Agreement::Repeat() {
  const bool all_settled = settled();
  for (const auto& [node, peer] : peers_) {
    if (!peer.met || (node == proposer_ && !all_settled)) SayHello(node);
    if (open_ && peer.met && peer.accepted < open_->number) Say(node, *open_);
  }
}

void Agreement::Advance() { IsProposer() ? Propose() : AcceptIfMet(); }

bool Agreement::HasMetAll() const {
  return std::all_of(peers_.begin(), peers_.end(),
                     [](const auto& entry) { return entry.second.met; });
}

bool Agreement::HasMet(const AgreedView& view) const {
  return view.LifeOf(self_) == life_ &&
         std::all_of(peers_.begin(), peers_.end(), [&view](const auto& entry) {
           return entry.second.met && entry.second.life == view.LifeOf(entry.first);
         });
}

bool Agreement::MayFollow(const AgreedView& base) const {
  return predecessor_ended_ || base.epoch == 0 || base.LifeOf(self_) == life_;
}

AgreedView Agreement::HighestInstalled() const {
  const AgreedView* highest = &installed_;
  for (const auto& [node, peer] : peers_) {
    if (peer.installed.epoch > highest->epoch) highest = &peer.installed;
  }
  return *highest;
}

void Agreement::Propose() {
  if (!HasMetAll()) return;
  if (!former_epoch_) {
    former_epoch_ = 0;
    for (const auto& [node, peer] : peers_) {
      former_epoch_ = std::max(*former_epoch_, peer.highest_epoch);
    }
  }
  AgreedView base = HighestInstalled();
  std::vector<Member> members;
  for (const NodeId node : nodes_) {
    members.push_back({.node = node, .life = node == self_ ? life_ : peers_.at(node).life});
  }
  if (base.epoch != 0 && base.members == members) return;
  if (!open_ || open_->base != base || open_->next.members != members) {
    // The view without those that have restarted comes first, and has the epoch before.
    const uint32_t epoch = base.epoch == 0 ? 1 : std::max(base.epoch, *former_epoch_) + 2;
    open_ = {.number = ++last_number_,
             .base = std::move(base),
             .next = {.epoch = epoch, .members = std::move(members)}};
    for (const auto& [node, peer] : peers_) Say(node, *open_);
  }
  DecideIfAccepted();
}

void Agreement::DecideIfAccepted() {
  const bool accepted = std::all_of(peers_.begin(), peers_.end(), [this](const auto& entry) {
    return entry.second.accepted == open_->number;
  });
  if (!accepted || !MayFollow(open_->base)) return;
  decided_number_ = open_->number;
  InstallView(open_->next);
  open_.reset();
  for (const auto& [node, peer] : peers_) Say(node, Install{.number = decided_number_});
}

void Agreement::AcceptIfMet() {
  if (!offered_) return;
  const AgreedView& base = offered_->base;
  other_nodes_ = !NamesExactly(offered_->next, nodes_);
  if (other_nodes_ || !HasMet(offered_->next) || !MayFollow(base)) return;
  if (base.LifeOf(self_) == life_ && installed_.epoch < base.epoch) InstallView(base);
  if (installed_.epoch != 0 && installed_ != base) {
    // The proposer has not heard yet what is installed here.
    offered_.reset();
    return SayHello(proposer_);
  }
  accepted_ = std::exchange(offered_, std::nullopt);
  last_accepted_ = accepted_->number;
  highest_epoch_ = std::max(highest_epoch_, accepted_->next.epoch);
  Say(proposer_, Accept{.number = last_accepted_});
}

void Agreement::InstallView(const AgreedView& view) {
  View without{.epoch = view.epoch - 1, .members = {}};
  for (const Member& member : view.members) {
    if (installed_.LifeOf(member.node) == member.life) without.members.push_back(member.node);
  }
  // Of a node that is new, nobody has gone on.
  if (!without.members.empty()) out_.views.push_back(std::move(without));
  out_.views.push_back({.epoch = view.epoch, .members = nodes_});
  installed_ = view;
  highest_epoch_ = std::max(highest_epoch_, view.epoch);
}

bool Agreement::settled() const { return HasMetAll() && HasMet(installed_); }

bool Agreement::IsIn(NodeId node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() && found->second.life != 0 &&
         installed_.LifeOf(node) == found->second.life;
}

size_t Agreement::out() const {
  const auto others = std::count_if(peers_.begin(), peers_.end(),
                                    [this](const auto& entry) { return !IsIn(entry.first); });
  return static_cast<size_t>(others) + (installed_.epoch == 0 ? 1 : 0);
}

std::string Agreement::Explain() const {
  std::vector<NodeId> unmet, restarted, silent;
  for (const auto& [node, peer] : peers_) {
    if (!peer.met) unmet.push_back(node);
    if (!IsIn(node)) restarted.push_back(node);
    if (!peer.reachable) silent.push_back(node);
  }
  std::string text;
  if (installed_.epoch != 0) {
    text = "in service";
    if (restarted.empty() && silent.empty()) return text;
    if (restarted.empty()) return absl::StrCat(text, ", without an answer of ", Named(silent));
    absl::StrAppend(&text, ", but restarted and to be taken back: ", Named(restarted), "; ");
  }
  if (other_nodes_) {
    return absl::StrCat(text, Named({proposer_}), " is configured with other nodes");
  }
  if (!unmet.empty()) return absl::StrCat(text, "waits to meet ", Named(unmet));
  const bool holds_back =
      IsProposer() ? open_ && !MayFollow(open_->base) : offered_ && HasMet(offered_->next);
  if (holds_back) {
    return absl::StrCat(text, "waits until what it promised before it restarted is over");
  }
  if (IsProposer() || accepted_) return absl::StrCat(text, "waits for the others to agree");
  return absl::StrCat(text, "waits for ", Named({proposer_}), " to propose a view");
}

}  // namespace clustix::member
