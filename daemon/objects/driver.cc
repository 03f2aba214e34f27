// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/driver.h"

#include <algorithm>
#include <utility>

#include "lib/base/time_units.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {

Driver::Driver(io::Loop& loop, Messenger& messenger, kddm::Store& store, const Options& options)
    : loop_(loop),
      options_(options),
      engine_(messenger.self(), {}, store),
      channel_(loop, messenger,
               [this](NodeId from, const kddm::Message& message) { Receive(from, message); }),
      view_(loop, messenger, options.view,
            {.send = [this](NodeId to,
                            Bytes bytes) { channel_.Post(to, msg::kPortObjectView, bytes); },
             .peer_began =
                 [this](NodeId peer) {
                   channel_.Forget(peer);
                   std::erase_if(early_, [peer](const auto& said) { return said.first == peer; });
                 },
             .installed = [this](const member::View& view) { Install(view); }}),
      deadlines_(loop, [this](kddm::OpId op) { PassDeadline(op); }),
      hold_timers_(loop, options.max_hold_ms * kNsPerMs,
                   [this](const kddm::HoldTimer& timer) { PassHold(timer); }) {}

void Driver::Start() { view_.Start(); }

void Driver::Stop() {
  if (stopped_) return;
  engine_.CutOff();
  Flush();
  std::vector<kddm::OpId> watches;
  for (const auto& [id, op] : ops_) {
    if (op.watches) watches.push_back(id);
  }
  for (const kddm::OpId watch : watches) {
    Complete({.op = watch, .status = kddm::Status::kUnavailable});
  }
  stopped_ = true;
  hold_timers_.Stop();
  view_.Stop();
  channel_.Stop();
}

void Driver::Tell(NodeId to, Port port, Bytes bytes) {
  if (!stopped_ && view_.IsIn(to)) channel_.Post(to, port, bytes);
}

size_t Driver::TellMembers(Port port, Bytes bytes) {
  if (stopped_) return 0;
  size_t told = 0;
  for (const NodeId node : view_.nodes()) {
    if (!view_.IsIn(node)) continue;
    channel_.Post(node, port, bytes);
    ++told;
  }
  return told;
}

void Driver::OnPeerEvent(NodeId peer, PeerEvent event) {
  if (!stopped_) view_.OnPeerEvent(peer, event);
}

// What the engine has to say about a view is on its way before the next one is installed.
void Driver::Install(const member::View& view) {
  engine_.InstallView(view);
  Flush();
  for (const auto& [from, message] : std::exchange(early_, {})) {
    engine_.Deliver(from, message);
    Flush();
  }
  if (on_view_change_) on_view_change_();
}

// Of who is not in the view any more, or not yet, the engine knows by the epochs what counts. It
// does not before its first view, and may then be told to forget a peer.
void Driver::Receive(NodeId from, const kddm::Message& message) {
  if (engine_.epoch() == 0) {
    early_.emplace_back(from, message);
    return;
  }
  engine_.Deliver(from, message);
  Flush();
}

kddm::OpId Driver::Enter(Op op, uint64_t timeout_ms) {
  const kddm::OpId id = next_op_++;
  if (timeout_ms != 0) op.deadline = deadlines_.Add(id, timeout_ms);
  ops_.emplace(id, std::move(op));
  return id;
}

void Driver::PassDeadline(kddm::OpId id) {
  const auto found = ops_.find(id);
  if (found == ops_.end() || std::exchange(found->second.deadline, 0) == 0) return;
  Cancel(id);
}

// By now somebody may hold the object for whom nobody waits: the timer is about an earlier hold, or
// there would be a later timer in its place.
void Driver::PassHold(const kddm::HoldTimer& timer) {
  if (hold_hooks_.overdue && engine_.holder().IsAwaited(timer.key)) hold_hooks_.overdue(timer.key);
  engine_.ExpireHolds(timer.key, timer.token);
  Flush();
}

kddm::OpId Driver::BeginAs(kddm::Operation operation, uint64_t timeout_ms, Op op) {
  op.may_hold = operation.kind == kddm::OpKind::kGrab || operation.hold;
  const kddm::OpId id = Enter(std::move(op), timeout_ms);
  if (stopped_) {
    Complete({.op = id, .status = kddm::Status::kUnavailable});
    return id;
  }
  operation.id = id;
  engine_.Start(std::move(operation));
  Flush();
  return id;
}

kddm::OpId Driver::Begin(kddm::Operation operation, uint64_t timeout_ms, ObjectUser* user,
                         uint64_t token) {
  return BeginAs(std::move(operation), timeout_ms, {.user = user, .token = token});
}

kddm::OpId Driver::Begin(kddm::Operation operation, uint64_t timeout_ms, Done done) {
  return BeginAs(std::move(operation), timeout_ms, {.done = std::move(done)});
}

kddm::OpId Driver::PutAs(kddm::OpId hold, kddm::Data data, uint64_t timeout_ms, Op op) {
  const kddm::OpId id = Enter(std::move(op), timeout_ms);
  if (stopped_) {
    Complete({.op = id, .status = kddm::Status::kUnavailable});
    return id;
  }
  // The engine keeps a hold whose put is malformed.
  const bool valid = data != nullptr && !data->empty() && data->size() <= kddm::kObjectBytesMax;
  if (const auto held = ops_.find(hold); valid && held != ops_.end() && held->second.holds) {
    ops_.erase(held);
  }
  engine_.Put(id, hold, std::move(data));
  Flush();
  return id;
}

kddm::OpId Driver::Put(kddm::OpId hold, kddm::Data data, uint64_t timeout_ms, ObjectUser* user,
                       uint64_t token) {
  return PutAs(hold, std::move(data), timeout_ms, {.user = user, .token = token});
}

kddm::OpId Driver::Put(kddm::OpId hold, kddm::Data data, uint64_t timeout_ms, Done done) {
  return PutAs(hold, std::move(data), timeout_ms, {.done = std::move(done)});
}

void Driver::Release(kddm::OpId hold) {
  const auto held = ops_.find(hold);
  if (held == ops_.end() || !held->second.holds) return;
  ops_.erase(held);
  if (stopped_) return;
  engine_.Release(hold);
  Flush();
}

kddm::OpId Driver::Migrate(const kddm::ObjectKey& key, NodeId to, uint64_t timeout_ms,
                           ObjectUser* user, uint64_t token) {
  const kddm::OpId id = Enter({.user = user, .token = token}, timeout_ms);
  if (stopped_) {
    Complete({.op = id, .status = kddm::Status::kUnavailable});
    return id;
  }
  engine_.Migrate(id, key, to);
  Flush();
  return id;
}

void Driver::Cancel(kddm::OpId op) {
  if (stopped_) return;
  engine_.Cancel(op);
  Flush();
}

void Driver::Abandon(kddm::OpId op) {
  const auto found = ops_.find(op);
  if (found == ops_.end()) return;
  if (found->second.holds) return Release(op);
  found->second.user = nullptr;
  Cancel(op);
}

kddm::OpId Driver::Watch(const kddm::WatchRange& range, ObjectUser* user, uint64_t token) {
  const kddm::OpId id = Enter({.user = user, .token = token, .watches = true}, 0);
  if (stopped_) {
    Complete({.op = id, .status = kddm::Status::kUnavailable});
    return id;
  }
  engine_.Watch(id, range);
  Flush();
  return id;
}

void Driver::Unwatch(kddm::OpId watch) {
  if (ops_.erase(watch) == 0 || stopped_) return;
  engine_.Unwatch(watch);
  Flush();
}

void Driver::LinkerDone(const kddm::LinkerWork& work, bool ok, const kddm::Data& data) {
  if (stopped_) return;
  engine_.LinkerDone(work.key, work.token, ok, data);
  Flush();
}

// What the engine wants done may make users begin further operations: those are flushed by the
// outermost call, in their turn.
void Driver::Flush() {
  if (std::exchange(flushing_, true)) return;
  for (kddm::Outbox outbox = engine_.TakeOutbox(); !outbox.empty(); outbox = engine_.TakeOutbox()) {
    Do(std::move(outbox));
    const uint64_t begun = engine_.watchers().begun();
    if (std::exchange(watches_seen_, begun) != begun && hold_hooks_.watched) hold_hooks_.watched();
  }
  flushing_ = false;
}

void Driver::Do(kddm::Outbox outbox) {
  for (const kddm::Sending& sending : outbox.sendings) {
    if (view_.IsIn(sending.to)) channel_.Send(sending.to, sending.message);
  }
  for (const kddm::HoldTimer& timer : outbox.hold_timers) {
    hold_timers_.Arm(timer);
    if (hold_hooks_.wanted) hold_hooks_.wanted(timer.key);
  }
  for (const kddm::LinkerWork& work : outbox.linker_works) {
    if (linker_) linker_(work);
  }
  for (const kddm::WriteAsked& asked : outbox.writes_asked) {
    contention_.OnWrite(asked.key, asked.by, loop_.Now());
  }
  for (const kddm::OpId hold : outbox.revoked) {
    const auto held = ops_.find(hold);
    if (held == ops_.end()) continue;
    ObjectUser* user = held->second.user;
    // Its grant may be among the completions below, and is then not one any more.
    if (!held->second.holds) continue;
    ops_.erase(held);
    if (user != nullptr) user->OnRevoked(hold);
  }
  for (const kddm::Completion& completion : outbox.completions) Complete(completion);
  for (const kddm::Change& change : outbox.changes) {
    const auto watch = ops_.find(change.watch);
    if (watch != ops_.end()) watch->second.user->OnChange(watch->second.token, change);
  }
}

void Driver::Complete(const kddm::Completion& completion) {
  const auto found = ops_.find(completion.op);
  if (found == ops_.end()) return;
  Op& op = found->second;
  if (op.deadline != 0) deadlines_.Remove(std::exchange(op.deadline, 0));
  ObjectUser* user = op.user;
  const uint64_t token = op.token;
  const Done done = std::move(op.done);
  if (op.may_hold && completion.status == kddm::Status::kOk) {
    op.holds = true;
    op.done = nullptr;
    if (user == nullptr && !done) return Release(completion.op);  // abandoned meanwhile
  } else if (!op.watches || completion.status != kddm::Status::kOk) {
    ops_.erase(found);
  }
  if (user != nullptr) {
    user->OnDone(token, completion);
  } else if (done) {
    done(completion);
  }
}

}  // namespace clustix::daemon
