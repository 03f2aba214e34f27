// SPDX-License-Identifier: Apache-2.0
//
// A file descriptor that is closed with its owner. One thread at a time.
#ifndef CLUSTIX_LIB_BASE_UNIQUE_FD_H_
#define CLUSTIX_LIB_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace clustix::base {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Gives the descriptor away.
  int Release() { return std::exchange(fd_, -1); }
  // Linux frees the descriptor whatever close() returns, so that it is never repeated.
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_UNIQUE_FD_H_
