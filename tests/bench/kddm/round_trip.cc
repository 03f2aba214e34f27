// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/round_trip.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "lib/base/status.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

using base::UniqueFd;
using Frame = std::vector<std::byte>;

// False: the other end is gone.
bool Receive(int fd, Frame& frame, uint32_t spin_us) {
  constexpr uint64_t kNsPerUs = 1000;
  size_t got = 0;
  const uint64_t until = spin_us > 0 ? NowNs() + spin_us * kNsPerUs : 0;
  while (got < frame.size()) {
    const int flags = spin_us > 0 && NowNs() < until ? MSG_DONTWAIT : 0;
    const ssize_t count = recv(fd, frame.data() + got, frame.size() - got, flags);
    if (count > 0) {
      got += static_cast<size_t>(count);
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
      return false;
    }
  }
  return true;
}

// A frame fits into any socket's buffer.
bool Send(int fd, const Frame& frame) {
  return send(fd, frame.data(), frame.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size());
}

// A connection within this process.
absl::Status Connect(UniqueFd& from, UniqueFd& to) {
  ASSIGN_OR_RETURN(const UniqueFd listener,
                   ListenTcp({.address = "127.0.0.1:0", .congestion = {}}));
  ASSIGN_OR_RETURN(const std::string address, BoundAddress(listener.get()));
  ASSIGN_OR_RETURN(from, ConnectTcp({.address = address, .congestion = {}}));
  to.Reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return to.valid() ? absl::OkStatus() : base::ErrnoStatus(errno, "accept");
}

[[noreturn]] void PassOn(int in, int out, uint32_t spin_us, size_t bytes, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  Frame frame(RoundTrip::kBytes), sent(bytes);
  while (Receive(in, frame, spin_us) && Send(out, sent)) {
  }
  _exit(0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RoundTrip>> RoundTrip::Start(size_t hops, uint32_t spin_us,
                                                            size_t bytes_back) {
  std::unique_ptr<RoundTrip> trip(new RoundTrip(spin_us, bytes_back));
  UniqueFd arriving;  // at the next child
  RETURN_IF_ERROR(Connect(trip->out_, arriving));
  for (size_t hop = 1; hop < hops; ++hop) {
    UniqueFd leaving, arriving_next;
    RETURN_IF_ERROR(Connect(leaving, arriving_next));
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) return base::ErrnoStatus(errno, "cannot fork");
    const size_t bytes = hop + 1 == hops ? bytes_back : kBytes;
    if (child == 0) PassOn(arriving.get(), leaving.get(), spin_us, bytes, parent);
    trip->children_.push_back(child);
    arriving = std::move(arriving_next);
  }
  trip->in_ = std::move(arriving);
  return trip;
}

RoundTrip::~RoundTrip() {
  for (const pid_t child : children_) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
}

absl::Status RoundTrip::Go() {
  const Frame frame(kBytes);
  if (Send(out_.get(), frame) && Receive(in_.get(), back_, spin_us_)) return absl::OkStatus();
  return absl::UnavailableError("a process that passes messages on has gone");
}

}  // namespace clustix::bench
