// SPDX-License-Identifier: Apache-2.0
//
// Raw TCP over io_uring: one send and one receive in flight, submitted together. It looks for
// completions for --spin-us, without a system call, before it sleeps.
//
// Each receive goes straight to where the bytes are needed. A multishot receive would save arming
// it again, but then every byte is copied once more, out of the buffers that the kernel picked.
#include <liburing.h>

#include <cerrno>

#include "tests/bench/msg/raw_peer.h"

namespace clustix::bench {
namespace {

class UringDriver {
 public:
  static constexpr size_t kMostOutstandingBytes = SIZE_MAX;

  UringDriver(const PeerOptions& options, const std::atomic<bool>& stop)
      : stop_(stop), spin_ns_(uint64_t{options.spin_us} * 1000) {}
  UringDriver(const UringDriver&) = delete;
  UringDriver& operator=(const UringDriver&) = delete;
  ~UringDriver() {
    if (made_) io_uring_queue_exit(&ring_);
  }

  template <class Side>
  absl::Status Drive(Side& side, int fd) {
    RETURN_IF_ERROR(SetUp());
    const absl::Status status = Move(side, fd);
    // The kernel must be done with the side's memory.
    RETURN_IF_ERROR(CancelAll());
    return status;
  }

 private:
  enum Operation : uint64_t { kSend = 1, kReceive = 2, kCancel = 3 };

  absl::Status SetUp() {
    constexpr unsigned kEntries = 8;
    // TASKRUN_FLAG tells in memory that there is something to collect: spinning needs no call.
    const int error = io_uring_queue_init(
        kEntries, &ring_,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    if (error != 0) return base::ErrnoStatus(-error, "cannot set up an io_uring");
    made_ = true;
    return absl::OkStatus();
  }

  template <class Side>
  absl::Status Move(Side& side, int fd) {
    while (!stop_.load(std::memory_order_relaxed)) {
      if (!sending_) Send(fd, side.Outgoing());
      if (side.done()) return absl::OkStatus();
      if (!receiving_) Receive(fd, side.Incoming());
      RETURN_IF_ERROR(Await());
      io_uring_cqe* cqe;
      while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
        const bool of_send = io_uring_cqe_get_data64(cqe) == kSend;
        const int result = cqe->res;
        if (!of_send) more_to_receive_ = (cqe->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
        (of_send ? sending_ : receiving_) = false;
        io_uring_cqe_seen(&ring_, cqe);
        if (result < 0 && !IsEnd(-result)) {
          return base::ErrnoStatus(-result, of_send ? "send" : "recv");
        }
        if (result <= 0) return side.OnEnd();
        const size_t bytes = static_cast<size_t>(result);
        RETURN_IF_ERROR(of_send ? side.Sent(bytes) : side.Received(bytes));
      }
    }
    return absl::OkStatus();
  }

  void Send(int fd, std::span<const std::byte> out) {
    if (out.empty()) return;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_send(sqe, fd, out.data(), out.size(), MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, kSend);
    sending_ = true;
  }

  void Receive(int fd, std::span<std::byte> room) {
    if (room.empty()) return;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_recv(sqe, fd, room.data(), room.size(), 0);
    io_uring_sqe_set_data64(sqe, kReceive);
    // Nothing is there yet: wait before trying.
    if (!more_to_receive_) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    receiving_ = true;
  }

  // Submits; returns when there is a completion.
  absl::Status Await() {
    io_uring_cqe* cqe;
    if (spin_ns_ > 0) {
      if (const int error = io_uring_submit(&ring_); error < 0) return Failed(error);
      const uint64_t until_ns = NowNs() + spin_ns_;
      do {
        if (io_uring_peek_cqe(&ring_, &cqe) == 0) return absl::OkStatus();
      } while (NowNs() < until_ns);
    }
    const int error = io_uring_submit_and_wait(&ring_, 1);
    return error < 0 && error != -EINTR ? Failed(error) : absl::OkStatus();
  }

  absl::Status CancelAll() {
    if (sending_ || receiving_) {
      io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
      io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
      io_uring_sqe_set_data64(sqe, kCancel);
    }
    while (sending_ || receiving_) {
      RETURN_IF_ERROR(Await());
      io_uring_cqe* cqe;
      while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
        const uint64_t operation = io_uring_cqe_get_data64(cqe);
        if (operation == kSend) sending_ = false;
        if (operation == kReceive) receiving_ = false;
        io_uring_cqe_seen(&ring_, cqe);
      }
    }
    return absl::OkStatus();
  }

  static absl::Status Failed(int error) { return base::ErrnoStatus(-error, "io_uring"); }

  const std::atomic<bool>& stop_;
  const uint64_t spin_ns_;
  io_uring ring_ = {};
  bool made_ = false;
  bool sending_ = false, receiving_ = false;
  bool more_to_receive_ = false;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  return clustix::bench::PeerMain(argc, argv,
                                  clustix::bench::RawPeer<clustix::bench::UringDriver>(
                                      "raw-uring", "raw TCP, io_uring, batched"));
}
