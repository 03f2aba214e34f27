// SPDX-License-Identifier: Apache-2.0
//
// Raw TCP with epoll, as good servers do it: sockets that never block, everything that is ready in
// one send() and one recv(), and no system call that is known to be in vain.
#include <sys/epoll.h>

#include "tests/bench/msg/raw_nonblocking.h"

namespace clustix::bench {
namespace {

class EpollWaiter {
 public:
  absl::Status Start(int fd) {
    fd_ = fd;
    epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_.valid()) return base::ErrnoStatus(errno, "epoll_create1");
    return Watch(EPOLL_CTL_ADD, EPOLLIN);
  }

  absl::StatusOr<bool> Wait(bool to_receive, bool to_send) {
    const uint32_t events = (to_receive ? EPOLLIN : 0u) | (to_send ? EPOLLOUT : 0u);
    if (events != watched_) RETURN_IF_ERROR(Watch(EPOLL_CTL_MOD, events));
    epoll_event event = {};
    while (epoll_wait(epoll_.get(), &event, 1, -1) < 0) {
      if (errno != EINTR) return base::ErrnoStatus(errno, "epoll_wait");
    }
    return (event.events & ~static_cast<uint32_t>(EPOLLOUT)) != 0;
  }

 private:
  absl::Status Watch(int operation, uint32_t events) {
    epoll_event event = {};
    event.events = events;
    if (epoll_ctl(epoll_.get(), operation, fd_, &event) != 0) {
      return base::ErrnoStatus(errno, "epoll_ctl");
    }
    watched_ = events;
    return absl::OkStatus();
  }

  int fd_ = -1;
  base::UniqueFd epoll_;
  uint32_t watched_ = 0;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using clustix::bench::EpollWaiter;
  using clustix::bench::NonblockingDriver;
  return clustix::bench::PeerMain(argc, argv,
                                  clustix::bench::RawPeer<NonblockingDriver<EpollWaiter>>(
                                      "raw-epoll", "raw TCP, epoll, batched"));
}
