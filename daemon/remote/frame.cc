// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/frame.h"

#include <capnp/message.h>
#include <endian.h>

#include <cstring>
#include <string>

#include "lib/base/status.h"
#include "proto/message.h"

namespace clustix::remote {
namespace {

constexpr size_t kLengthBytes = sizeof(uint32_t);

}  // namespace

Frame MakeFrame(const std::function<void(proto::ExecFrame::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<proto::ExecFrame>());
  std::vector<std::byte> body = proto::WriteMessage(message);
  const uint32_t length = htole32(static_cast<uint32_t>(body.size()));
  Frame frame(kLengthBytes + body.size());
  std::memcpy(frame.data(), &length, kLengthBytes);
  std::memcpy(frame.data() + kLengthBytes, body.data(), body.size());
  return frame;
}

Frame FailedFrame(int exit_code, const std::string& text) {
  return MakeFrame([&](proto::ExecFrame::Builder frame) {
    frame.initFailed().setExitCode(exit_code);
    frame.getFailed().setText(text.c_str());
  });
}

Frame LostFrame(const std::string& text) {
  return MakeFrame([&](proto::ExecFrame::Builder frame) { frame.setLost(text.c_str()); });
}

void FrameCutter::Add(std::span<const std::byte> bytes) {
  Forget();
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void FrameCutter::Forget() {
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(taken_));
  taken_ = 0;
}

absl::StatusOr<size_t> FrameCutter::LengthAt(size_t at) const {
  if (bytes_.size() - at < kLengthBytes) return size_t{0};
  uint32_t length;
  std::memcpy(&length, bytes_.data() + at, kLengthBytes);
  length = le32toh(length);
  if (length == 0 || length > proto::EXEC_FRAME_BYTES_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("a frame of ", length, " bytes: expected 1 to ", proto::EXEC_FRAME_BYTES_MAX));
  }
  const size_t whole = kLengthBytes + length;
  return bytes_.size() - at < whole ? size_t{0} : whole;
}

absl::StatusOr<std::span<const std::byte>> FrameCutter::Next() {
  ASSIGN_OR_RETURN(const size_t whole, LengthAt(taken_));
  if (whole == 0) return std::span<const std::byte>();
  const std::span<const std::byte> frame(bytes_.data() + taken_ + kLengthBytes,
                                         whole - kLengthBytes);
  taken_ += whole;
  return frame;
}

absl::StatusOr<Frame> FrameCutter::TakeWhole(size_t bytes_max) {
  size_t end = taken_;
  for (;;) {
    ASSIGN_OR_RETURN(const size_t whole, LengthAt(end));
    if (whole == 0 || (end > taken_ && end - taken_ + whole > bytes_max)) break;
    end += whole;
  }
  Frame frames(bytes_.begin() + static_cast<ptrdiff_t>(taken_),
               bytes_.begin() + static_cast<ptrdiff_t>(end));
  taken_ = end;
  return frames;
}

absl::Status ReadFrame(std::span<const std::byte> frame,
                       const std::function<absl::Status(proto::ExecFrame::Reader)>& read) {
  return proto::ReadMessage<proto::ExecFrame>(frame, read);
}

}  // namespace clustix::remote
