// SPDX-License-Identifier: Apache-2.0
//
// Many calls at once without a callback each: a call is given a tag of the caller's choice, and
// Next() harvests what has ended, many at a time, in the order in which it ended.
//
//   CompletionQueue queue(node);
//   for (uint64_t i = 0; i < 64; ++i) queue.Call(2, port, requests[i], {}, i);
//   std::array<Completion, 64> done;
//   while (queue.outstanding() > 0) {
//     const size_t count = queue.Next(done);
//     for (const Completion& completion : std::span(done).first(count)) ...completion.tag...
//   }
//
// Threads: those of its node (clustix/node.h). A node may have any number of queues.
#ifndef CLUSTIX_COMPLETION_QUEUE_H_
#define CLUSTIX_COMPLETION_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "clustix/messenger.h"
#include "clustix/node.h"

namespace clustix {

struct Completion {
  uint64_t tag;
  Outcome outcome;
  uint16_t status;  // as in Reply; 0 for a send
  Bytes payload;    // the answer, valid until the queue's next Next(); empty for a send
};

class CompletionState;

class CompletionQueue {
 public:
  // The node must outlive the queue.
  explicit CompletionQueue(Node& node);
  // Completions that have not been harvested are dropped; the calls go on. Not from within a
  // callback that this queue's own Next() runs.
  ~CompletionQueue();
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;

  // As Messenger's functions of these names; if and only if kOk is returned, one completion with
  // `tag` follows. Tags need not differ.
  Outcome Call(NodeId to, Port port, Bytes payload, const CallOptions& options, uint64_t tag,
               CallId* id = nullptr);
  Outcome Send(NodeId to, Port port, Bytes payload, Lane lane, uint64_t tag);
  // The payload must not change until its completion has been harvested, or the node is closed.
  Outcome SendInPlace(NodeId to, Port port, Bytes payload, Lane lane, uint64_t tag);

  // Gives a call of this queue up: no completion follows. False: it has ended, and its completion
  // is in the queue or has been harvested.
  bool Cancel(const CallId& id);

  // Fills `out` from its beginning and returns how many. Turns the loop until there is at least one
  // completion, Node::Stop(), or `timeout_ms` have passed: then the result is 0, and `stopped`, if
  // given, says whether Stop() was why. With timeout 0 it handles what is ready and does not wait.
  // Not from within a callback.
  //
  // The queue keeps each answer that has not been harvested: whoever wants to bound its memory
  // bounds outstanding(). O(completions returned), no allocation once it has grown to its working
  // size.
  size_t Next(std::span<Completion> out, uint64_t timeout_ms = Node::kForever,
              bool* stopped = nullptr);

  // Calls and sends whose completion has not been harvested, nor been cancelled.
  size_t outstanding() const;

 private:
  NodeCore& core_;
  CompletionState* const state_;  // the node's own, so that it outlives the calls under way
};

}  // namespace clustix

#endif  // CLUSTIX_COMPLETION_QUEUE_H_
