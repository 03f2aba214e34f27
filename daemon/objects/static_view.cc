// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/static_view.h"

#include <endian.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {

using base::Log;
using base::LogLevel;

StaticView::StaticView(Messenger& messenger, member::View view, uint64_t incarnation, Hooks hooks)
    : messenger_(&messenger),
      view_(std::move(view)),
      self_(messenger.self()),
      incarnation_(incarnation),
      hooks_(std::move(hooks)) {
  for (const NodeId node : view_.members) {
    if (node != self_) peers_[node] = {};
  }
}

void StaticView::Start() {
  messenger_->Handle(msg::kPortObjectView, [this](const Incoming& incoming) {
    if (incoming.payload.size() == 3 * sizeof(uint64_t)) OnMessage(incoming);
  });
  for (const auto& [node, peer] : peers_) Say(node, What::kHello, 0);
  GoInIfAllMet();
}

void StaticView::Stop() {
  if (messenger_ == nullptr) return;
  messenger_->Handle(msg::kPortObjectView, nullptr);
  messenger_ = nullptr;
}

// What is lost with the peer's life is said again when its successor is up.
void StaticView::Say(NodeId to, What what, uint64_t your_life) {
  if (messenger_ == nullptr) return;
  const std::array<uint64_t, 3> words = {htole64(static_cast<uint64_t>(what)),
                                         htole64(incarnation_), htole64(your_life)};
  hooks_.send(to, std::as_bytes(std::span(words)));
}

void StaticView::OnPeerEvent(NodeId node, PeerEvent event) {
  const auto found = peers_.find(node);
  if (found == peers_.end() || state_ == State::kOut) return;
  Peer& peer = found->second;
  if (event == PeerEvent::kRebooted) {
    if (state_ == State::kIn) return Leave(node);
    peer = {};
    hooks_.peer_began(node);
  }
  const bool may_hear = event == PeerEvent::kUp || event == PeerEvent::kRebooted;
  if (may_hear && !peer.welcomed_us) Say(node, What::kHello, peer.life);
}

void StaticView::OnMessage(const Incoming& incoming) {
  std::array<uint64_t, 3> words;
  std::memcpy(words.data(), incoming.payload.data(), sizeof words);
  const uint64_t what = le64toh(words[0]), life = le64toh(words[1]), ours = le64toh(words[2]);
  const auto found = peers_.find(incoming.from);
  if (found == peers_.end() || life == 0) return;
  if (what == static_cast<uint64_t>(What::kHello)) return OnHello(incoming.from, life);
  if (ours != incarnation_ || state_ != State::kJoining) return;
  if (what == static_cast<uint64_t>(What::kWelcome)) {
    found->second.welcomed_us = true;
    GoInIfAllMet();
  } else if (what == static_cast<uint64_t>(What::kOut)) {
    state_ = State::kOut;
    Log(LogLevel::kError, "objects", "no object sets here",
        {{"why", Explain()}, {"peer", incoming.from}});
    hooks_.out();
  }
}

void StaticView::OnHello(NodeId from, uint64_t life) {
  Peer& peer = peers_.at(from);
  if (state_ == State::kJoining) {
    if (peer.life != life) {
      if (peer.life != 0) peer.welcomed_us = false;  // that was its predecessor
      peer.life = life;
      hooks_.peer_began(from);
      // It may not have been there to hear ours.
      Say(from, What::kHello, life);
    }
    Say(from, What::kWelcome, life);
    return GoInIfAllMet();
  }
  if (state_ == State::kIn && peer.life == life && !peer.out) {
    return Say(from, What::kWelcome, life);
  }
  if (state_ == State::kIn && !peer.out) Leave(from);
  Say(from, What::kOut, life);
}

void StaticView::Leave(NodeId node) {
  Peer& peer = peers_.at(node);
  if (std::exchange(peer.out, true)) return;
  Log(LogLevel::kError, "objects", "a node has restarted and is out of the view of object sets",
      {{"peer", node}});
  hooks_.peer_left(node);
}

void StaticView::GoInIfAllMet() {
  if (state_ != State::kJoining) return;
  const bool met = std::all_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    return entry.second.life != 0 && entry.second.welcomed_us;
  });
  if (!met) return;
  state_ = State::kIn;
  Log(LogLevel::kInfo, "objects", "object sets are in service",
      {{"epoch", view_.epoch}, {"members", view_.members.size()}});
  hooks_.in();
}

bool StaticView::IsIn(NodeId node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() && !found->second.out;
}

size_t StaticView::out() const {
  const auto others = std::count_if(peers_.begin(), peers_.end(),
                                    [](const auto& entry) { return entry.second.out; });
  return static_cast<size_t>(others) + (state_ == State::kOut ? 1 : 0);
}

std::string StaticView::Explain() const {
  std::string nodes;
  if (state_ == State::kOut) {
    return "this node has restarted while the others went on; object sets are served here again "
           "once the daemons of all nodes have been restarted";
  }
  for (const auto& [node, peer] : peers_) {
    const bool counts = state_ == State::kJoining ? peer.life == 0 || !peer.welcomed_us : peer.out;
    if (counts) absl::StrAppend(&nodes, nodes.empty() ? "" : ", ", node);
  }
  if (state_ == State::kJoining) return "waits to meet node " + nodes;
  if (nodes.empty()) return "in service";
  return "in service; restarted and therefore out: node " + nodes;
}

}  // namespace clustix::daemon
