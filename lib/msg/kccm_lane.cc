// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_lane.h"

#include <cassert>

namespace clustix::msg {

void KccmLane::Add(LaneEntry& entry) {
  entry.sequence = next_sequence_++;
  entry.submitted = false;
  entry.next = nullptr;
  entry.previous = last_;
  (last_ == nullptr ? first_ : last_->next) = &entry;
  last_ = &entry;
  ++messages_;
  bytes_ += entry.bytes;
  if (stalled_) {
    ResumeIfPossible();
    return;
  }
  entry.submitted = true;
  submitter_->Submit(entry, false);
}

void KccmLane::Refused(LaneEntry& entry) {
  assert(entry.submitted);
  entry.submitted = false;
  if (stalled_ && entry.sequence > refused_from_) {
    --returning_;
    ResumeIfPossible();
    return;
  }
  stalled_ = true;
  retry_ = false;
  refused_from_ = entry.sequence;
  returning_ = 0;
  for (const LaneEntry* behind = entry.next; behind != nullptr; behind = behind->next) {
    if (behind->submitted) ++returning_;
  }
}

void KccmLane::Remove(LaneEntry& entry) {
  (entry.previous == nullptr ? first_ : entry.previous->next) = entry.next;
  (entry.next == nullptr ? last_ : entry.next->previous) = entry.previous;
  --messages_;
  bytes_ -= entry.bytes;
  if (!stalled_ || !entry.submitted || entry.sequence < refused_from_) return;
  --returning_;  // it ended by itself, after one before it was refused
  ResumeIfPossible();
}

void KccmLane::Retry() {
  if (!stalled_) return;
  retry_ = true;
  ResumeIfPossible();
}

void KccmLane::ResumeIfPossible() {
  if (!stalled_ || !retry_ || returning_ > 0) return;
  bool resume = true;
  for (LaneEntry* entry = first_; entry != nullptr; entry = entry->next) {
    if (entry->submitted) continue;
    entry->submitted = true;
    submitter_->Submit(*entry, resume);
    resume = false;
  }
  // With nothing to submit, the next message is the one that resumes.
  stalled_ = resume;
}

}  // namespace clustix::msg
