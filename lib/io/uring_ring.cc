// SPDX-License-Identifier: Apache-2.0
#include "lib/io/uring_ring.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"

namespace clustix::io {
namespace {

constexpr unsigned kSubmissionEntries = 1024;
constexpr unsigned kCompletionEntries = 8192;

// The kernel takes the buffers in turn, so all of a group pass through the caches: half a megabyte
// stays in those of one core, and what 8 KiB hold is parsed while it is in the nearest. A stream
// that finds none waits for the next turn. Bulk streams share four, large enough that a transfer
// takes few completions: the kernel goes on receiving for one stream as long as it finds a buffer,
// and 128 KiB take it some 40 us.
struct Group {
  unsigned first;  // id of its first buffer
  unsigned buffers;
  size_t buffer_bytes;
  size_t offset;  // of its first buffer in the memory of all
};
constexpr Group kBufferGroups[] = {
    {.first = 0, .buffers = 64, .buffer_bytes = 8 * 1024, .offset = 0},
    {.first = 64, .buffers = 4, .buffer_bytes = 32 * 1024, .offset = 64 * 8 * 1024}};
constexpr size_t kBulkGroup = 1;
constexpr unsigned kBuffers = kBufferGroups[kBulkGroup].first + kBufferGroups[kBulkGroup].buffers;
constexpr size_t kBuffersBytes =
    kBufferGroups[kBulkGroup].offset +
    kBufferGroups[kBulkGroup].buffers * kBufferGroups[kBulkGroup].buffer_bytes;
// The kernel wants each group's ring page-aligned, whatever a page is, and a power of two of
// entries.
constexpr size_t kRingBytes = 64 * 1024;

size_t GroupOf(unsigned buffer) {
  return buffer >= kBufferGroups[kBulkGroup].first ? kBulkGroup : 0;
}

size_t OffsetOf(unsigned buffer) {
  const Group& group = kBufferGroups[GroupOf(buffer)];
  return group.offset + (buffer - group.first) * group.buffer_bytes;
}

// How long to leave the kernel alone when it has no memory for operations.
constexpr TimeNs kNoMemoryNs = 10'000'000;

// After which a turn goes on at once: a signal, or nothing came, or completions must be taken
// first.
bool IsHarmless(int error) {
  return error == -EINTR || error == -ETIME || error == -EBUSY || error == -EAGAIN;
}

absl::Status Unusable(int error) {
  const char* advice = "";
  if (error == EPERM || error == ENOSYS) {
    advice =
        " (it is switched off: see sysctl kernel.io_uring_disabled, or the container's seccomp "
        "profile)";
  } else if (error == EINVAL) {
    advice = " (Linux 6.0 or newer is needed)";
  }
  return absl::FailedPreconditionError(
      absl::StrCat("io_uring cannot be used: ", strerror(error), advice));
}

}  // namespace

std::optional<MissedCancel> MissedBy(const Completion& cancel) {
  if (cancel.result >= 0 || cancel.id == 0) return std::nullopt;
  return MissedCancel{.op = static_cast<Op>(cancel.id & 0xff),
                      .id = cancel.id >> 8,
                      .running = cancel.result == -EALREADY};
}

absl::StatusOr<std::unique_ptr<UringRing>> UringRing::Create() {
  auto ring = std::make_unique<UringRing>();
  // R_DISABLED lets another thread than this one become the single issuer.
  constexpr unsigned kAlways = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
                               IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER;
  // DEFER_TASKRUN came with Linux 6.1. SINGLE_ISSUER came with 6.0, as did multishot receive, which
  // cannot be probed: a kernel that refuses the one lacks the other.
  // TASKRUN_FLAG shows in memory that the kernel has work to finish on this thread.
  int error = ring->SetUp(kAlways | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
  if (error == -EINVAL) {
    error = ring->SetUp(kAlways | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
  }
  if (error < 0) return Unusable(-error);
  if ((ring->ring_.features & IORING_FEAT_EXT_ARG) == 0) return Unusable(EINVAL);
  if (error = ring->SetUpBuffers(); error < 0) {
    return base::ErrnoStatus(-error, "io_uring: set up the receive buffers");
  }
  return ring;
}

int UringRing::SetUp(unsigned flags) {
  io_uring_params params = {};
  params.flags = flags;
  params.cq_entries = kCompletionEntries;
  const int error = io_uring_queue_init_params(kSubmissionEntries, &ring_, &params);
  made_ = error == 0;
  return error;
}

int UringRing::SetUpBuffers() {
  void* memory = mmap(nullptr, kGroups * kRingBytes + kBuffersBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  buffers_ = static_cast<std::byte*>(memory) + kGroups * kRingBytes;
  for (unsigned group = 0; group < kGroups; ++group) {
    buffer_rings_[group] =
        reinterpret_cast<io_uring_buf_ring*>(static_cast<std::byte*>(memory) + group * kRingBytes);
    if (const int error = SetUpGroup(group); error < 0) return error;
  }
  return 0;
}

int UringRing::SetUpGroup(unsigned group) {
  const unsigned buffers = kBufferGroups[group].buffers;
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uintptr_t>(buffer_rings_[group]);
  registration.ring_entries = buffers;
  registration.bgid = static_cast<uint16_t>(group);
  if (const int error = io_uring_register_buf_ring(&ring_, &registration, 0); error < 0) {
    return error;
  }
  io_uring_buf_ring_init(buffer_rings_[group]);
  for (unsigned i = 0; i < buffers; ++i) AddBuffer(kBufferGroups[group].first + i);
  return 0;
}

void UringRing::AddBuffer(unsigned buffer) {
  const size_t group = GroupOf(buffer);
  const int mask = io_uring_buf_ring_mask(kBufferGroups[group].buffers);
  io_uring_buf_ring_add(buffer_rings_[group], buffers_ + OffsetOf(buffer),
                        static_cast<unsigned>(kBufferGroups[group].buffer_bytes),
                        static_cast<uint16_t>(buffer), mask, 0);
  io_uring_buf_ring_advance(buffer_rings_[group], 1);
}

UringRing::~UringRing() {
  if (made_) io_uring_queue_exit(&ring_);  // before the buffers, which the kernel may still know
  if (buffers_ != nullptr) {
    munmap(buffers_ - kGroups * kRingBytes, kGroups * kRingBytes + kBuffersBytes);
  }
}

void UringRing::Enable() {
  if (enabled_) return;
  // liburing 2.3 declares io_uring_enable_rings() and does not export it.
  if (syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) <
      0) {
    base::Log(base::LogLevel::kError, "io", "io_uring cannot be enabled",
              {{"error", strerror(errno)}});
    abort();
  }
  enabled_ = true;
}

io_uring_sqe* UringRing::NextSqe() {
  if (overflow_.empty()) {
    if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_)) return sqe;
  }
  return &overflow_.emplace_back();
}

void UringRing::MoveOverflow() {
  while (!overflow_.empty()) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return;
    *sqe = overflow_.front();
    overflow_.pop_front();
  }
}

void UringRing::QueueReceive(uint64_t id, int fd, bool bulk) {
  Queue(Op::kReceive, id, [fd, bulk](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = bulk ? kBulkGroup : 0;
  });
}

void UringRing::QueueCancel(Op op, uint64_t id) {
  const uint64_t target = UserData(op, id);
  Queue(Op::kCancel, target,
        [target](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, target, 0); });
}

void UringRing::QueueCancelAll() {
  Queue(Op::kCancel, 0, [](io_uring_sqe* sqe) {
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
  });
}

int UringRing::Enter(TimeNs now, TimeNs until) {
  ++entries_;
  if (until <= now) return io_uring_submit_and_get_events(&ring_);
  io_uring_cqe* first = nullptr;
  if (until == kNever) {
    return io_uring_submit_and_wait_timeout(&ring_, &first, 1, nullptr, nullptr);
  }
  const TimeNs left = until - now;
  __kernel_timespec timeout = {.tv_sec = static_cast<int64_t>(left / kNsPerSecond),
                               .tv_nsec = static_cast<long long>(left % kNsPerSecond)};
  return io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
}

bool UringRing::SubmitAndWait(TimeNs now, TimeNs until) {
  assert(enabled_);
  MoveOverflow();
  while (!overflow_.empty()) {
    ++entries_;
    const int submitted = io_uring_submit(&ring_);
    if (submitted == -EEXIST) return false;
    if (submitted <= 0) {
      // The kernel takes no more now. The rest waits for the next turn, which must come soon.
      until = std::min(until, now + kNoMemoryNs);
      break;
    }
    MoveOverflow();
  }
  const int result = Enter(now, until);
  if (result == -EEXIST) return false;
  if ((result == -EBUSY || result == -EAGAIN) && io_uring_cq_ready(&ring_) == 0) {
    // The kernel has no memory for operations and no completion that would free some: there is
    // nothing to wait for but time, and going on at once would spin.
    poll(nullptr, 0, kNoMemoryNs / 1'000'000);
  }
  if (result >= 0 || IsHarmless(result)) return true;
  base::Log(base::LogLevel::kError, "io", "io_uring failed, cannot go on", {{"errno", -result}});
  abort();
}

std::optional<Completion> UringRing::Take() {
  io_uring_cqe* cqe = nullptr;
  unsigned head;
  io_uring_for_each_cqe(&ring_, head, cqe) break;
  if (cqe == nullptr) return std::nullopt;
  const Completion completion = {.op = static_cast<Op>(cqe->user_data & 0xff),
                                 .id = cqe->user_data >> 8,
                                 .result = cqe->res,
                                 .flags = cqe->flags};
  io_uring_cqe_seen(&ring_, cqe);
  if (!completion.more()) --in_flight_;
  return completion;
}

std::span<const std::byte> UringRing::Received(const Completion& completion) const {
  if ((completion.flags & IORING_CQE_F_BUFFER) == 0 || completion.result <= 0) return {};
  const unsigned buffer = completion.flags >> IORING_CQE_BUFFER_SHIFT;
  assert(buffer < kBuffers);
  return {buffers_ + OffsetOf(buffer), static_cast<size_t>(completion.result)};
}

void UringRing::GiveBack(const Completion& completion) {
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    AddBuffer(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  }
}

}  // namespace clustix::io
