// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/station.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

#include "lib/base/status.h"

namespace clustix::bench {
namespace {

constexpr std::chrono::seconds kSettlePatience{10};

// What goes over the socket: both ends are the same program.
struct Answer {
  Station::Result result;
  bool ok = true;
  char why[240] = {};
};

bool SendAnswer(int socket, const absl::Status& status, const Station::Result& result) {
  Answer answer{.result = result, .ok = status.ok()};
  const std::string why(base::ToStd(status.message()));
  std::memcpy(answer.why, why.data(), std::min(why.size(), sizeof(answer.why) - 1));
  return send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer);
}

void Serve(int socket, const Station::Work& work) {
  char order;
  for (;;) {
    const ssize_t n = recv(socket, &order, 1, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n != 1) return;
    Station::Result result;
    const int64_t began_ns = MonotonicNs();
    const absl::Status status = work(order, &result);
    if (result.ended_ns == 0) {
      result.began_ns = began_ns;
      result.ended_ns = MonotonicNs();
    }
    if (!SendAnswer(socket, status, result)) return;
  }
}

// In the child. Never returns.
[[noreturn]] void RunStation(int socket, const Station::Step& enter, const Station::Step& settle,
                             const Station::Work& work) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const absl::Status entered = enter ? enter() : absl::OkStatus();
  if (!entered.ok()) {
    SendAnswer(socket, entered, {});
    _exit(1);
  }
  const pid_t child = fork();
  if (child < 0) {
    SendAnswer(socket, base::ErrnoStatus(errno, "cannot fork"), {});
    _exit(1);
  }
  if (child != 0) {
    close(socket);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(0);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const absl::Status settled = settle ? settle() : absl::OkStatus();
  if (SendAnswer(socket, settled, {}) && settled.ok()) Serve(socket, work);
  _exit(0);
}

}  // namespace

int64_t MonotonicNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

absl::StatusOr<std::unique_ptr<Station>> Station::Start(const Step& enter, const Step& settle,
                                                        const Work& work) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return base::ErrnoStatus(errno, "cannot make a socket");
  }
  std::unique_ptr<Station> station(new Station());
  station->socket_.Reset(sockets[0]);
  base::UniqueFd theirs(sockets[1]);
  station->pid_ = fork();
  if (station->pid_ < 0) return base::ErrnoStatus(errno, "cannot fork");
  if (station->pid_ == 0) {
    station->socket_.Reset();
    RunStation(theirs.get(), enter, settle, work);
  }
  theirs.Reset();
  RETURN_IF_ERROR(station->Await(cluster::After(kSettlePatience)).status());
  return station;
}

Station::~Station() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::Status Station::Tell(char order) {
  if (send(socket_.get(), &order, 1, MSG_NOSIGNAL) == 1) return absl::OkStatus();
  return base::ErrnoStatus(errno, "a process of the measurement is gone");
}

absl::StatusOr<Station::Result> Station::Await(cluster::Deadline deadline) {
  pollfd entry = {socket_.get(), POLLIN, 0};
  int ready;
  while ((ready = poll(&entry, 1, cluster::LeftMs(deadline))) < 0 && errno == EINTR) {
  }
  if (ready <= 0) return absl::DeadlineExceededError("a process of the measurement hangs");
  Answer answer;
  if (recv(socket_.get(), &answer, sizeof(answer), 0) != sizeof(answer)) {
    return absl::UnavailableError("a process of the measurement has died");
  }
  if (!answer.ok) return absl::UnavailableError(answer.why);
  return answer.result;
}

}  // namespace clustix::bench
