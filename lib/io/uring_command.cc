// SPDX-License-Identifier: Apache-2.0
#include "lib/io/uring_command.h"

#include <liburing.h>

#include <cerrno>
#include <cstring>

namespace clustix::io {

int RunDeviceCommand(int fd, uint32_t op, const CommandPayload& payload) {
  io_uring ring;
  if (const int error = io_uring_queue_init(1, &ring, 0); error < 0) return error;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, nullptr, 0, 0);
  sqe->cmd_op = op;
  std::memcpy(sqe->cmd, payload.data(), payload.size());
  int result = io_uring_submit(&ring);
  if (result >= 0) {
    io_uring_cqe* cqe = nullptr;
    do {
      result = io_uring_wait_cqe(&ring, &cqe);
    } while (result == -EINTR);
    if (result == 0) result = cqe->res;
  }
  io_uring_queue_exit(&ring);
  return result;
}

}  // namespace clustix::io
