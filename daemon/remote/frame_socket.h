// SPDX-License-Identifier: Apache-2.0
//
// An end of a tunnel: a unix socket on which a program with a poll() loop of its own sends and
// receives frames. Its memory is bounded by the credits of the protocol. One thread.
#ifndef CLUSTIX_DAEMON_REMOTE_FRAME_SOCKET_H_
#define CLUSTIX_DAEMON_REMOTE_FRAME_SOCKET_H_

#include <poll.h>

#include <chrono>
#include <functional>

#include "absl/status/status.h"
#include "daemon/remote/frame.h"
#include "lib/base/unique_fd.h"

namespace clustix::remote {

class FrameSocket {
 public:
  explicit FrameSocket(base::UniqueFd fd) : fd_(std::move(fd)) {}

  void Send(const Frame& frame);
  void Send(const std::function<void(proto::ExecFrame::Builder)>& fill) { Send(MakeFrame(fill)); }
  size_t unsent_bytes() const { return unsent_.size() - sent_; }

  // For poll(): what to wait for now.
  pollfd Poll() const;
  // After poll(): writes what is unsent and reads what has come. False: the connection has ended;
  // what came before is still there for Receive().
  bool OnReady(short events);
  // Hands over every whole frame that has come, until one is not OK. kInvalidArgument also for what
  // is no frame.
  absl::Status Receive(const std::function<absl::Status(proto::ExecFrame::Reader)>& handle);
  // The same for the next frame alone, which is waited for.
  absl::Status AwaitOne(std::chrono::milliseconds patience,
                        const std::function<absl::Status(proto::ExecFrame::Reader)>& handle);
  // Waits until all is sent, or the time is over, or the connection.
  void Flush(std::chrono::milliseconds patience);

 private:
  bool Write();
  bool Read();

  base::UniqueFd fd_;
  FrameCutter received_;
  std::vector<std::byte> unsent_;
  size_t sent_ = 0;  // of unsent_, from the front
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_FRAME_SOCKET_H_
