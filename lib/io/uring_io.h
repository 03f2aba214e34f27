// SPDX-License-Identifier: Apache-2.0
//
// Io on io_uring: one ring, one thread. See io.h for the contract.
#ifndef CLUSTIX_LIB_IO_URING_IO_H_
#define CLUSTIX_LIB_IO_URING_IO_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lib/io/io.h"

namespace clustix::io {

class UringIo : public Io {
 public:
  // kFailedPrecondition if the kernel has no io_uring, or forbids it.
  static absl::StatusOr<std::unique_ptr<UringIo>> Create();
  // Turns the loop on the calling thread until Stop(). May be called again afterwards.
  virtual void Run() = 0;
  // Makes Run() return after the current turn. Any thread.
  virtual void Stop() = 0;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_URING_IO_H_
