// SPDX-License-Identifier: Apache-2.0
//
// Frames of proto/exec.capnp on a stream of bytes: made, and cut out again. Pure; one thread per
// FrameCutter.
#ifndef CLUSTIX_DAEMON_REMOTE_FRAME_H_
#define CLUSTIX_DAEMON_REMOTE_FRAME_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/exec.capnp.h"

namespace clustix::remote {

using Frame = std::vector<std::byte>;  // one or more, each with its length in front

// Exit codes that are not the program's; 126 and 127 as a shell has them.
inline constexpr int kExitOutcomeUnknown = 125;
inline constexpr int kExitNotStarted = 126;
inline constexpr int kExitNotFound = 127;

// At most EXEC_FRAME_BYTES_MAX, which is for the caller to see to.
Frame MakeFrame(const std::function<void(proto::ExecFrame::Builder)>& fill);
Frame FailedFrame(int exit_code, const std::string& text);
Frame LostFrame(const std::string& text);

class FrameCutter {
 public:
  void Add(std::span<const std::byte> bytes);
  // The next whole frame without its length, valid until the next call of either function; empty:
  // more bytes are needed. kInvalidArgument: its length is 0 or too large, and nothing that follows
  // can be understood.
  absl::StatusOr<std::span<const std::byte>> Next();
  // As many whole frames as there are, with their lengths, up to `bytes_max`, but at least one of
  // any size; removed from here. Empty: more bytes are needed.
  absl::StatusOr<Frame> TakeWhole(size_t bytes_max);
  size_t bytes() const { return bytes_.size() - taken_; }

 private:
  // Length of the whole frame `at` so many bytes, with its prefix; 0: it is not there as a whole.
  absl::StatusOr<size_t> LengthAt(size_t at) const;
  void Forget();

  std::vector<std::byte> bytes_;
  size_t taken_ = 0;  // of bytes_, from the front
};

// Decodes one frame, without its length. The reader is valid during the call.
absl::Status ReadFrame(std::span<const std::byte> frame,
                       const std::function<absl::Status(proto::ExecFrame::Reader)>& read);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_FRAME_H_
