// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/view_keeper.h"

#include <utility>

#include "lib/base/log.h"
#include "lib/base/time_units.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {
namespace {

using base::Log;
using base::LogLevel;

// Messages are lost only when a node ends, and with the messenger that is soon known: this is for
// what it could not know.
constexpr uint64_t kRepeatMs = 500;

}  // namespace

ViewKeeper::ViewKeeper(io::Loop& loop, Messenger& messenger, const Options& options, Hooks hooks)
    : loop_(loop),
      messenger_(&messenger),
      options_(options),
      hooks_(std::move(hooks)),
      agreement_(messenger.self(), options.life, options.nodes) {}

void ViewKeeper::Start() {
  messenger_->Handle(msg::kPortObjectView,
                     [this](const Incoming& incoming) { OnMessage(incoming); });
  loop_.RunAt(loop_.Now() + options_.predecessor_ms * kNsPerMs, [this, alive = alive_] {
    if (!*alive) return;
    agreement_.PredecessorEnded();
    Flush();
  });
  agreement_.Start();
  Flush();
}

void ViewKeeper::Stop() {
  if (messenger_ == nullptr) return;
  *alive_ = false;
  messenger_->Handle(msg::kPortObjectView, nullptr);
  messenger_ = nullptr;
}

void ViewKeeper::OnPeerEvent(NodeId peer, PeerEvent event) {
  if (messenger_ == nullptr) return;
  // While a path is down, or a new life of the peer begins, messages wait for the connection.
  const bool dead = event == PeerEvent::kSuspect || event == PeerEvent::kDead;
  if (event != PeerEvent::kUp && !dead) return;
  agreement_.OnReach(peer, !dead);
  Flush();
}

void ViewKeeper::OnMessage(const Incoming& incoming) {
  const absl::StatusOr<member::ViewMessage> message = member::DecodeViewMessage(incoming.payload);
  if (!message.ok()) {
    const std::string key = "malformed " + std::to_string(incoming.from);
    if (log_limiter_.Admit(key, loop_.Now())) {
      Log(LogLevel::kWarning, "objects", "dropped a malformed message about views",
          {{"peer", incoming.from}, {"error", message.status()}});
    }
    return;
  }
  agreement_.OnMessage(incoming.from, *message);
  Flush();
}

void ViewKeeper::Flush() {
  const member::Agreement::Outbox out = agreement_.TakeOutbox();
  for (const NodeId peer : out.began) {
    hooks_.peer_began(peer);
    if (!IsIn()) continue;
    Log(LogLevel::kWarning, "objects", "a node has restarted, and is to be taken back",
        {{"peer", peer}, {"epoch", epoch()}});
  }
  for (const member::Agreement::Sending& sending : out.sendings) {
    hooks_.send(sending.to, member::EncodeViewMessage(sending.message));
  }
  for (const member::View& view : out.views) Install(view);
  RepeatLater();
}

void ViewKeeper::Install(const member::View& view) {
  const bool whole = view.members.size() == nodes().size();
  Log(LogLevel::kInfo, "objects",
      whole ? "object sets are in service" : "a view without those that have restarted",
      {{"epoch", view.epoch}, {"members", view.members.size()}});
  hooks_.installed(view);
}

void ViewKeeper::RepeatLater() {
  if (agreement_.settled() || std::exchange(repeats_, true)) return;
  loop_.RunAt(loop_.Now() + kRepeatMs * kNsPerMs, [this, alive = alive_] {
    if (!*alive) return;
    repeats_ = false;
    if (agreement_.settled()) return;
    agreement_.Repeat();
    Flush();
  });
}

}  // namespace clustix::daemon
