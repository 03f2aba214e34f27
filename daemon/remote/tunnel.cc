// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/tunnel.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/remote/exec_service.h"
#include "lib/base/status.h"

namespace clustix::remote {
namespace {

// What one message to the other end holds at most, unless a single frame is larger.
constexpr size_t kForwardBytes = 128 * 1024;

}  // namespace

Tunnel::Tunnel(ExecService& service, io::StreamId stream, uid_t uid)
    : service_(service), stream_(stream), uid_(uid), connected_(true) {}

Tunnel::Tunnel(ExecService& service, TunnelKey key, uid_t uid)
    : service_(service), key_(key), uid_(uid), connected_(false) {}

void Tunnel::OnConnected(int error) {
  if (error != 0) {
    // OnClosed() follows.
    service_.OnNoSession(*this, error);
    ending_ = true;
    return;
  }
  connected_ = true;
  SendMore();
}

void Tunnel::OnData(std::span<const std::byte> data) {
  if (ending_) return;
  received_.Add(data);
  Forward();
}

// Reading goes on for what was on its way when the tunnel was paused: it waits here.
void Tunnel::Forward() {
  while (!ending_ && !paused_) {
    absl::StatusOr<Frame> frames = received_.TakeWhole(kForwardBytes);
    if (!frames.ok()) return service_.OnMisfit(*this, frames.status());
    if (frames->empty()) return;
    service_.OnFrames(*this, *std::move(frames));
  }
}

bool Tunnel::Write(Frame frames) {
  if (ending_ || deaf_ || frames.empty()) return true;
  if (unsent_bytes_ + frames.size() > proto::EXEC_QUEUE_BYTES_MAX) return false;
  unsent_bytes_ += frames.size();
  unsent_.push_back(std::move(frames));
  if (in_flight_ == 0) SendMore();
  return true;
}

void Tunnel::SendMore() {
  if (!connected_) return;
  if (unsent_.empty()) {
    if (ending_) Close();
    return;
  }
  // Io::Send() only reads, whatever iovec says.
  std::array<iovec, io::Io::kMaxVecs> vecs;
  size_t count = 0, skip = sent_;
  for (Frame& frame : unsent_) {
    if (count == vecs.size()) break;
    vecs[count++] = {frame.data() + skip, frame.size() - skip};
    in_flight_ += frame.size() - skip;
    skip = 0;
  }
  service_.io().Send(stream_, {vecs.data(), count});
}

void Tunnel::OnSent(size_t bytes, int error) {
  in_flight_ = 0;
  if (error != 0) return GoDeaf();
  unsent_bytes_ -= bytes;
  sent_ += bytes;
  while (!unsent_.empty() && sent_ >= unsent_.front().size()) {
    sent_ -= unsent_.front().size();
    unsent_.pop_front();
  }
  SendMore();
}

// The local process has gone, perhaps after its last words, which have yet to be read: the end of
// the stream follows them.
void Tunnel::GoDeaf() {
  deaf_ = true;
  unsent_.clear();
  unsent_bytes_ = sent_ = 0;
  if (ending_) Close();
}

void Tunnel::End() {
  if (ending_) return;
  ending_ = true;
  service_.io().PauseReceive(stream_);
  if (in_flight_ == 0 && (unsent_.empty() || !connected_)) Close();
}

void Tunnel::Close() {
  ending_ = true;
  service_.io().Close(stream_);
}

void Tunnel::Pause() {
  if (paused_) return;
  paused_ = true;
  service_.io().PauseReceive(stream_);
}

void Tunnel::Resume() {
  if (!paused_) return;
  paused_ = false;
  Forward();
  if (!paused_ && !ending_) service_.io().ResumeReceive(stream_);
}

void Tunnel::OnClosed(int) {
  // What it said last goes out before its end is told, even if the way is full: it is bounded.
  while (!ending_ && std::exchange(paused_, false)) Forward();
  service_.OnClosed(*this);  // destroys this
}

}  // namespace clustix::remote
