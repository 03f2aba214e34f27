// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/raw_echo.h"

#include <algorithm>
#include <cstring>

namespace clustix::bench {
namespace {

// Half of a usual second-level cache: what is received is still there when it is sent.
constexpr size_t kReceiveBytes = 256 * 1024;
// Room for a message of the largest size behind another one.
constexpr size_t kBufferBytes = 2 * (kLargestPayload + sizeof(FrameHeader)) + kReceiveBytes;
// A tail of up to that many bytes goes to the front of the buffer whenever possible, so that the
// same, cached part of it is used again.
constexpr size_t kCheapMoveBytes = 4096;

}  // namespace

EchoSide::EchoSide() : buffer_(kBufferBytes) {}

std::span<std::byte> EchoSide::Incoming() {
  const size_t tail = filled_ - parsed_;
  if (begin_ == parsed_ && begin_ > 0 &&
      (tail <= kCheapMoveBytes || buffer_.size() - filled_ < kReceiveBytes)) {
    std::memmove(buffer_.data(), buffer_.data() + parsed_, tail);
    begin_ = parsed_ = 0;
    filled_ = tail;
  }
  return {buffer_.data() + filled_, std::min(buffer_.size() - filled_, kReceiveBytes)};
}

absl::Status EchoSide::Received(size_t bytes) {
  filled_ += bytes;
  return Parse();
}

std::span<const std::byte> EchoSide::Outgoing() const {
  return {buffer_.data() + begin_, parsed_ - begin_};
}

absl::Status EchoSide::Sent(size_t bytes) {
  begin_ += bytes;
  return begin_ == parsed_ ? Parse() : absl::OkStatus();
}

absl::Status EchoSide::Parse() {
  while (filled_ - parsed_ >= sizeof(FrameHeader)) {
    std::byte* frame = buffer_.data() + parsed_;
    const FrameHeader header = LoadHeader(frame);
    if (PayloadOf(header) > kLargestPayload) {
      return absl::DataLossError("a frame that is larger than any can be");
    }
    const size_t frame_bytes = sizeof(header) + PayloadOf(header);
    if (filled_ - parsed_ < frame_bytes) break;
    switch (KindOf(header)) {
      case FrameKind::kRequest:
        break;
      case FrameKind::kOneway:
        // It leaves a gap in what is to be sent, so that the rest must be sent first.
        if (begin_ < parsed_) return absl::OkStatus();
        ++oneway_;
        begin_ += frame_bytes;
        break;
      case FrameKind::kEnd:
        if (PayloadOf(header) != kEndPayload) return absl::DataLossError("a wrong end frame");
        std::memcpy(frame + sizeof(header), &oneway_, kEndPayload);
        oneway_ = 0;
        break;
      default:
        return absl::DataLossError("a frame of no known kind");
    }
    parsed_ += frame_bytes;
  }
  return absl::OkStatus();
}

}  // namespace clustix::bench
