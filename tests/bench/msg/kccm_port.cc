// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/kccm_port.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/base/status.h"

namespace clustix::bench {
namespace {

constexpr size_t kPage = 4096;
constexpr uint64_t kBound = ~uint64_t{0};

}  // namespace

absl::StatusOr<std::unique_ptr<KccmUring>> KccmUring::Make(unsigned entries) {
  std::unique_ptr<KccmUring> made(new KccmUring);
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
  params.cq_entries = entries * 4;
  const int error = io_uring_queue_init_params(entries, &made->uring_, &params);
  if (error < 0) return base::ErrnoStatus(-error, "io_uring");
  return made;
}

io_uring_sqe* KccmUring::NextEntry() {
  io_uring_sqe* entry = io_uring_get_sqe(&uring_);
  if (entry != nullptr) return entry;
  io_uring_submit(&uring_);
  return io_uring_get_sqe(&uring_);
}

void KccmUring::Queue(int device, unsigned op, void* arguments, size_t bytes, uint64_t user_data,
                      bool quiet) {
  const kccm_uring_cmd where = {.args = reinterpret_cast<uint64_t>(arguments),
                                .args_bytes = static_cast<uint32_t>(bytes),
                                .zero = 0};
  io_uring_sqe* entry = NextEntry();
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, device, nullptr, 0, 0);
  entry->cmd_op = op;
  entry->user_data = user_data;
  if (quiet) entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  std::memcpy(entry->cmd, &where, sizeof(where));
}

void KccmUring::QueueSend(int device, kccm_uring_send& send, uint64_t user_data) {
  send.flags |= KCCM_URING_MORE;
  last_ = [&send] { send.flags &= static_cast<uint8_t>(~KCCM_URING_MORE); };
  Queue(device, KCCM_URING_SEND, &send, sizeof(send), user_data, /*quiet=*/true);
}

void KccmUring::QueueCall(int device, kccm_uring_call& call, uint64_t user_data) {
  call.request.flags |= KCCM_URING_MORE;
  last_ = [&call] { call.request.flags &= static_cast<uint8_t>(~KCCM_URING_MORE); };
  Queue(device, KCCM_URING_CALL, &call, sizeof(call), user_data);
}

void KccmUring::QueueReply(int device, kccm_uring_reply& reply, uint64_t user_data) {
  reply.flags |= KCCM_URING_MORE;
  last_ = [&reply] { reply.flags &= ~KCCM_URING_MORE; };
  Queue(device, KCCM_URING_REPLY, &reply, sizeof(reply), user_data, /*quiet=*/true);
}

void KccmUring::QueuePoll(int fd, short events, uint64_t user_data) {
  io_uring_sqe* entry = NextEntry();
  io_uring_prep_poll_multishot(entry, fd, static_cast<unsigned>(events));
  entry->user_data = user_data;
}

absl::Status KccmUring::Submit(unsigned completions) {
  if (last_ != nullptr) std::exchange(last_, nullptr)();
  int result;
  do {
    result = completions > 0 ? io_uring_submit_and_wait(&uring_, completions)
                             : io_uring_submit_and_get_events(&uring_);
  } while (result == -EINTR);
  return result < 0 ? base::ErrnoStatus(-result, "io_uring_enter") : absl::OkStatus();
}

unsigned KccmUring::Reap(
    const std::function<void(uint64_t user_data, int result, bool more)>& take) {
  unsigned head, count = 0;
  io_uring_cqe* end;
  io_uring_for_each_cqe(&uring_, head, end) {
    take(end->user_data, end->res, (end->flags & IORING_CQE_F_MORE) != 0);
    ++count;
  }
  io_uring_cq_advance(&uring_, count);
  return count;
}

absl::StatusOr<base::UniqueFd> OpenKccm() {
  base::UniqueFd fd(open("/dev/kccm", O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "/dev/kccm");
  return fd;
}

absl::StatusOr<std::unique_ptr<KccmPort>> KccmPort::Bind(KccmUring& uring, unsigned port) {
  std::unique_ptr<KccmPort> made(new KccmPort);
  ASSIGN_OR_RETURN(made->fd_, OpenKccm());
  kccm_uring_bind bind = {.port = port, .entries = 4096, .arena_bytes = 8u << 20, .ring_bytes = 0};
  uring.Queue(made->fd(), KCCM_URING_BIND, &bind, sizeof(bind), kBound);
  int error = 0;
  RETURN_IF_ERROR(uring.Submit(1));
  uring.Reap([&](uint64_t, int result, bool) { error = result; });
  if (error < 0) return base::ErrnoStatus(-error, "cannot serve the port");
  made->memory_bytes_ = bind.ring_bytes;
  made->memory_ = mmap(nullptr, bind.ring_bytes, PROT_READ, MAP_SHARED, made->fd(), KCCM_MMAP_RING);
  void* consumed =
      mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, made->fd(), KCCM_MMAP_CONSUMED);
  if (made->memory_ == MAP_FAILED || consumed == MAP_FAILED) {
    return base::ErrnoStatus(errno, "cannot map the ring");
  }
  const char* base = static_cast<const char*>(made->memory_);
  made->ring_ = static_cast<const kccm_uring_ring*>(made->memory_);
  made->descriptors_ =
      reinterpret_cast<const kccm_uring_descriptor*>(base + made->ring_->descriptors_offset);
  made->arena_ = base + made->ring_->arena_offset;
  made->shared_consumed_ = static_cast<uint32_t*>(consumed);
  return made;
}

KccmPort::~KccmPort() {
  if (memory_ != nullptr && memory_ != MAP_FAILED) munmap(memory_, memory_bytes_);
  if (shared_consumed_ != nullptr) munmap(shared_consumed_, kPage);
}

uint32_t KccmPort::available() const {
  return __atomic_load_n(&ring_->produced, __ATOMIC_ACQUIRE) - consumed_;
}

bool KccmPort::Consume(uint32_t count) {
  consumed_ += count;
  __atomic_store_n(shared_consumed_, consumed_, __ATOMIC_SEQ_CST);
  return (__atomic_load_n(&ring_->flags, __ATOMIC_SEQ_CST) & KCCM_RING_STALLED) != 0;
}

}  // namespace clustix::bench
