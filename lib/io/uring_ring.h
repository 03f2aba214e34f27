// SPDX-License-Identifier: Apache-2.0
//
// The ring itself: setting it up with what the kernel offers, queueing operations, waiting, taking
// completions, and the buffers that the kernel picks from for received bytes. Knows nothing of
// streams.
//
// Belongs to one thread, the first that calls Enable(); before that, operations can be queued by
// the thread that made it, and stay queued.
#ifndef CLUSTIX_LIB_IO_URING_RING_H_
#define CLUSTIX_LIB_IO_URING_RING_H_

#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "lib/io/io.h"

namespace clustix::io {

// What an operation is for. It travels through the kernel in the low byte of user_data, the id of
// its owner above it: ids are never reused, so a late completion cannot be taken for another's.
enum class Op : uint8_t {
  kCancel,
  kWake,
  kWatch,
  kAccept,
  kConnect,
  kReceive,
  kSend,
  kCommand,
  kEvents
};

struct Completion {
  Op op;
  uint64_t id;
  int result;      // as the system call's, negative errno on failure
  uint32_t flags;  // IORING_CQE_F_*

  // A multishot operation goes on; otherwise this is its last completion.
  bool more() const { return (flags & IORING_CQE_F_MORE) != 0; }
};

// What the completion of a cancellation says if it did not reach its operation. The kernel looks
// for the operation among those that wait for a socket or run in a worker. One that is just being
// moved from here to there is overlooked: the cancellation fails with ENOENT, and the operation
// lives on. So whoever cancels must ask again for as long as the operation has not ended.
struct MissedCancel {
  Op op;
  uint64_t id;
  // It runs in a worker of the kernel, which has been told to stop: give it a moment.
  bool running;
};
std::optional<MissedCancel> MissedBy(const Completion& cancel);

class UringRing {
 public:
  // kFailedPrecondition if the kernel has no io_uring, or too old a one, or forbids it.
  static absl::StatusOr<std::unique_ptr<UringRing>> Create();
  UringRing() = default;
  ~UringRing();
  UringRing(const UringRing&) = delete;
  UringRing& operator=(const UringRing&) = delete;

  // Binds the ring to the calling thread. Idempotent on that thread.
  void Enable();

  // Queues an operation that `prepare` fills in (with one of io_uring_prep_*). What it points to
  // must live until its last completion.
  template <typename Prepare>
  void Queue(Op op, uint64_t id, Prepare prepare) {
    io_uring_sqe* sqe = NextSqe();
    prepare(sqe);
    sqe->user_data = UserData(op, id);
    ++in_flight_;
  }
  // Queues a multishot receive into the ring's buffers; `bulk`: into the few that are set apart for
  // large transfers, which bound what one entry into the kernel receives.
  void QueueReceive(uint64_t id, int fd, bool bulk);
  // Queues the cancellation of an operation, which still ends by its own completion. The request to
  // cancel completes too, and that must be looked at: see MissedCancel.
  void QueueCancel(Op op, uint64_t id);
  void QueueCancelAll();

  // Hands everything queued to the kernel, and sleeps until a completion is there or `until` (of
  // CLOCK_MONOTONIC; 0 does not sleep, kNever has no limit). May return early. False if the ring
  // cannot be used by this thread.
  bool SubmitAndWait(TimeNs now, TimeNs until);
  // Operations that have not been handed to the kernel.
  size_t queued() const { return io_uring_sq_ready(&ring_) + overflow_.size(); }
  // Whether SubmitAndWait() would bring a completion now. Two loads, no system call.
  bool has_news() const {
    return io_uring_cq_ready(&ring_) > 0 ||
           (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;
  }
  // Whether the kernel works on operations only within SubmitAndWait(), never beside this thread.
  bool works_when_entered() const { return (ring_.flags & IORING_SETUP_DEFER_TASKRUN) != 0; }
  // Completions that are ready.
  size_t ready() const { return io_uring_cq_ready(&ring_); }
  // The next completion, in the order of the kernel.
  std::optional<Completion> Take();
  // How often the kernel was entered. liburing spares the entry when nothing is to be submitted and
  // a completion is there already; that one is counted, too.
  uint64_t entries() const { return entries_; }
  // Operations without their last completion.
  size_t in_flight() const { return in_flight_; }

  // The bytes that came with a receive's completion, until they are given back. Every completion of
  // a receive must be given back, whether it has bytes or not.
  std::span<const std::byte> Received(const Completion& completion) const;
  void GiveBack(const Completion& completion);

 private:
  static uint64_t UserData(Op op, uint64_t id) { return id << 8 | static_cast<uint64_t>(op); }

  int SetUp(unsigned flags);
  int SetUpBuffers();
  int SetUpGroup(unsigned group);
  void AddBuffer(unsigned buffer);
  io_uring_sqe* NextSqe();
  void MoveOverflow();
  int Enter(TimeNs now, TimeNs until);

  io_uring ring_ = {};
  bool made_ = false;
  bool enabled_ = false;
  size_t in_flight_ = 0;
  uint64_t entries_ = 0;
  // Operations that found the submission queue full: it is emptied once per turn, when all have
  // been queued, and a turn may queue more than it holds.
  std::deque<io_uring_sqe> overflow_;
  static constexpr size_t kGroups = 2;
  std::array<io_uring_buf_ring*, kGroups> buffer_rings_ = {};
  std::byte* buffers_ = nullptr;  // of all groups; a buffer's id is its index
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_URING_RING_H_
