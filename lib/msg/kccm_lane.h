// SPDX-License-Identifier: Apache-2.0
//
// What goes to one peer on one lane through the kernel module, in the order in which it was sent,
// from the sender's call until its command has ended.
//
// The module refuses a message when its queue is full, and the program hears of it only after it
// has handed over more. So these carry KCCM_URING_ORDERED: once one is refused, so are all behind
// it, and they come back here, in order, before any is handed over again.
//
//   submitted ... submitted | waiting ... waiting      `|`: the first that was refused
//
// Pure; belongs to the loop's thread.
#ifndef CLUSTIX_LIB_MSG_KCCM_LANE_H_
#define CLUSTIX_LIB_MSG_KCCM_LANE_H_

#include <cstddef>
#include <cstdint>

namespace clustix::msg {

// Where a message stands in its lane.
struct LaneEntry {
  LaneEntry* previous = nullptr;
  LaneEntry* next = nullptr;
  uint64_t sequence = 0;
  size_t bytes = 0;        // of its payload, which counts in the lane
  bool submitted = false;  // the kernel has it, and will end it
};

class LaneSubmitter {
 public:
  virtual ~LaneSubmitter() = default;
  // Hands a message to the kernel; `resume`: with KCCM_URING_RESUME.
  virtual void Submit(LaneEntry& entry, bool resume) = 0;
};

class KccmLane {
 public:
  struct Limits {
    size_t messages;
    size_t bytes;
  };
  // Before anything else.
  void Configure(LaneSubmitter* submitter, Limits limits) {
    submitter_ = submitter;
    limits_ = limits;
  }

  bool HasRoomFor(size_t bytes) const {
    return messages_ < limits_.messages && (messages_ == 0 || bytes_ + bytes <= limits_.bytes);
  }
  // Enough room that it is worth telling who has met a full lane.
  bool IsHalfEmpty() const {
    return messages_ <= limits_.messages / 2 && bytes_ <= limits_.bytes / 2;
  }

  // Adds a message, and submits it unless others wait before it.
  void Add(LaneEntry& entry);
  // Its command has ended with a refusal: it waits, and keeps its place.
  void Refused(LaneEntry& entry);
  // Its command has ended otherwise, or it waits no longer.
  void Remove(LaneEntry& entry);
  // There may be room in the kernel: submits what waits, once all that was refused is back.
  void Retry();

  size_t messages() const { return messages_; }
  bool stalled() const { return stalled_; }

 private:
  void ResumeIfPossible();

  LaneSubmitter* submitter_ = nullptr;
  Limits limits_ = {};
  LaneEntry* first_ = nullptr;
  LaneEntry* last_ = nullptr;
  size_t messages_ = 0, bytes_ = 0;
  uint64_t next_sequence_ = 0;
  // The module refuses everything until a message says that it resumes.
  bool stalled_ = false;
  uint64_t refused_from_ = 0;  // the sequence of the first that was refused
  size_t returning_ = 0;       // submitted behind it, so that they are being refused
  bool retry_ = false;         // Retry() was called since
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_KCCM_LANE_H_
