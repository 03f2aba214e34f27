// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/frame_socket.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "lib/base/status.h"

namespace clustix::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// What one read takes: several frames of a stream.
constexpr size_t kReadBytes = 64 * 1024;

int LeftMs(steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT32_MAX));
}

}  // namespace

void FrameSocket::Send(const Frame& frame) {
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(sent_));
  sent_ = 0;
  unsent_.insert(unsent_.end(), frame.begin(), frame.end());
}

pollfd FrameSocket::Poll() const {
  const int events = POLLIN | (unsent_bytes() > 0 ? POLLOUT : 0);
  return {fd_.get(), static_cast<short>(events), 0};
}

bool FrameSocket::OnReady(short events) {
  if ((events & POLLOUT) != 0 && !Write()) return Read() && false;
  return (events & (POLLIN | POLLHUP | POLLERR)) == 0 || Read();
}

bool FrameSocket::Write() {
  while (unsent_bytes() > 0) {
    const ssize_t n =
        send(fd_.get(), unsent_.data() + sent_, unsent_bytes(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    sent_ += static_cast<size_t>(n);
  }
  return true;
}

bool FrameSocket::Read() {
  std::array<std::byte, kReadBytes> bytes;
  for (;;) {
    const ssize_t n = recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    received_.Add({bytes.data(), static_cast<size_t>(n)});
    // The rest after what has come is worked on: credits bound what is kept here.
    return true;
  }
}

absl::Status FrameSocket::Receive(
    const std::function<absl::Status(proto::ExecFrame::Reader)>& handle) {
  for (;;) {
    ASSIGN_OR_RETURN(const std::span<const std::byte> frame, received_.Next());
    if (frame.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(ReadFrame(frame, handle));
  }
}

absl::Status FrameSocket::AwaitOne(
    milliseconds patience, const std::function<absl::Status(proto::ExecFrame::Reader)>& handle) {
  const auto deadline = steady_clock::now() + patience;
  bool open = true;
  for (;;) {
    ASSIGN_OR_RETURN(const std::span<const std::byte> frame, received_.Next());
    if (!frame.empty()) return ReadFrame(frame, handle);
    if (!open) return absl::UnavailableError("the connection has ended");
    pollfd entry = Poll();
    const int ready = poll(&entry, 1, LeftMs(deadline));
    if (ready == 0) return absl::DeadlineExceededError("nothing came in time");
    if (ready > 0) open = OnReady(entry.revents);
  }
}

void FrameSocket::Flush(milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  while (unsent_bytes() > 0) {
    pollfd entry = {fd_.get(), POLLOUT, 0};
    const int ready = poll(&entry, 1, LeftMs(deadline));
    if (ready == 0 || (ready > 0 && ((entry.revents & POLLOUT) == 0 || !Write()))) return;
  }
}

}  // namespace clustix::remote
