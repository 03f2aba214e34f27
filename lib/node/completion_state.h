// SPDX-License-Identifier: Apache-2.0
//
// What a CompletionQueue holds: completions that wait to be harvested, their payloads end to end in
// one buffer, and how many are still to come. Two batches take turns, one that fills and one that
// has been handed out, so that nothing is allocated once both have grown.
//
// Belongs to the node, on the node's thread: calls under way name it after its queue has gone.
#ifndef CLUSTIX_LIB_NODE_COMPLETION_STATE_H_
#define CLUSTIX_LIB_NODE_COMPLETION_STATE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "clustix/completion_queue.h"

namespace clustix {

class NodeCore;

class CompletionState {
 public:
  explicit CompletionState(NodeCore& core) : core_(core) {}
  CompletionState(const CompletionState&) = delete;
  CompletionState& operator=(const CompletionState&) = delete;

  // One more is to come; Done() or Cancelled() says how that ended.
  void Begin() { ++under_way_; }
  void Done(uint64_t tag, Outcome outcome, uint16_t status, Bytes payload);
  void Cancelled() { --under_way_; }

  // Payloads that were taken before are no longer valid.
  size_t Take(std::span<Completion> out);
  bool empty() const { return filling_.entries.empty() && next_ == handed_out_.entries.size(); }
  size_t outstanding() const {
    return under_way_ + filling_.entries.size() + handed_out_.entries.size() - next_;
  }

  // Waits for the first completion: Done() sets this and ends the turn.
  const bool& Await();
  void StopWaiting() { waiting_ = false; }
  bool waiting() const { return waiting_; }

  // Its queue is gone. Deletes itself once nothing is to come.
  void Abandon();

 private:
  struct Entry {
    uint64_t tag;
    Outcome outcome;
    uint16_t status;
    size_t offset, bytes;  // of the payload in Batch::payloads
  };
  struct Batch {
    std::vector<Entry> entries;
    std::vector<std::byte> payloads;
    void Clear() {
      entries.clear();
      payloads.clear();
    }
  };

  NodeCore& core_;
  Batch filling_, handed_out_;
  size_t next_ = 0;  // first entry of handed_out_ that has not been taken
  size_t under_way_ = 0;
  bool waiting_ = false;  // Next() turns the loop
  bool arrived_ = false;
  bool abandoned_ = false;
};

}  // namespace clustix

#endif  // CLUSTIX_LIB_NODE_COMPLETION_STATE_H_
