// SPDX-License-Identifier: Apache-2.0
#include "clustix/completion_queue.h"

#include "lib/node/completion_state.h"
#include "lib/node/core.h"

namespace clustix {

CompletionQueue::CompletionQueue(Node& node) : core_(*node.core_), state_(node.core_->AddQueue()) {
  core_.CheckThread("CompletionQueue()");
}

CompletionQueue::~CompletionQueue() {
  core_.CheckThread("~CompletionQueue()");
  if (state_->waiting()) core_.CheckMayTurn("~CompletionQueue(), of one whose Next() waits,");
  state_->Abandon();
}

// Two words are captured, which std::function holds without memory of its own.
Outcome CompletionQueue::Call(NodeId to, Port port, Bytes payload, const CallOptions& options,
                              uint64_t tag, CallId* id) {
  const Outcome queued = core_.messenger().Call(
      to, port, payload, options,
      [state = state_, tag](const Reply& reply) {
        state->Done(tag, reply.outcome, reply.status, reply.payload);
      },
      id);
  if (queued == Outcome::kOk) state_->Begin();
  return queued;
}

Outcome CompletionQueue::Send(NodeId to, Port port, Bytes payload, Lane lane, uint64_t tag) {
  const Outcome queued = core_.messenger().Send(
      to, port, payload, lane,
      [state = state_, tag](Outcome outcome) { state->Done(tag, outcome, 0, {}); });
  if (queued == Outcome::kOk) state_->Begin();
  return queued;
}

Outcome CompletionQueue::SendInPlace(NodeId to, Port port, Bytes payload, Lane lane, uint64_t tag) {
  const Outcome queued = core_.messenger().SendInPlace(
      to, port, payload, lane,
      [state = state_, tag](Outcome outcome) { state->Done(tag, outcome, 0, {}); });
  if (queued == Outcome::kOk) state_->Begin();
  return queued;
}

bool CompletionQueue::Cancel(const CallId& id) {
  const bool cancelled = core_.messenger().Cancel(id);
  if (cancelled) state_->Cancelled();
  return cancelled;
}

size_t CompletionQueue::Next(std::span<Completion> out, uint64_t timeout_ms, bool* stopped) {
  core_.CheckMayTurn("CompletionQueue::Next()");
  bool stop = false;
  if (state_->empty() && !out.empty()) {
    stop = core_.Turn(state_->Await(), timeout_ms, NodeCore::OnStop::kEnd);
    state_->StopWaiting();
  }
  if (stopped != nullptr) *stopped = stop;
  return state_->Take(out);
}

size_t CompletionQueue::outstanding() const { return state_->outstanding(); }

}  // namespace clustix
