// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/frame_parser.h"

#include <algorithm>

namespace clustix::sim {

uint64_t LoadLe(const std::byte* from, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; i++) value |= static_cast<uint64_t>(from[i]) << (8 * i);
  return value;
}

void StoreLe(std::byte* to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = static_cast<std::byte>(value >> (8 * i));
}

void FrameParser::Header(const OnFrame& on_frame) {
  frame_ = Frame();
  frame_.length = static_cast<uint32_t>(LoadLe(&partial_[4], 4));
  frame_.type = static_cast<uint8_t>(partial_[8]);
  frame_.flags = static_cast<uint8_t>(partial_[9]);
  frame_.seq = LoadLe(&partial_[16], 8);
  frame_.request = LoadLe(&partial_[24], 8);
  const bool payload_crc = (frame_.flags & KCCM_FLAG_PAYLOAD_CRC) != 0;
  const uint64_t rest = frame_.length + (payload_crc ? KCCM_CRC_BYTES : 0);
  frame_.end = offset_ + rest;
  const uint32_t most = frame_.IsMessage() ? KCCM_PAYLOAD_MAX : KCCM_CONTROL_BODY_MAX;
  if (frame_.length > most || frame_.type == 0 || frame_.type > KCCM_FRAME_REPLY) {
    valid_ = false;
    return;
  }
  if (frame_.IsMessage()) {
    skip_ = rest;
    skip_protected_ = payload_crc;
    on_frame(frame_);
  } else if (rest == 0) {
    on_frame(frame_);
  } else {
    in_body_ = true;
    skip_ = rest;
  }
  if (!in_body_) partial_.clear();
}

const std::vector<std::pair<size_t, size_t>>& FrameParser::Feed(std::span<const std::byte> data,
                                                                const OnFrame& on_frame) {
  protected_.clear();
  size_t at = 0;
  while (valid_ && at < data.size()) {
    const size_t left = data.size() - at;
    size_t take;
    bool covered = true;
    if (skip_ > 0) {
      take = static_cast<size_t>(std::min<uint64_t>(skip_, left));
      covered = in_body_ || skip_protected_;
      skip_ -= take;
      if (in_body_) partial_.insert(partial_.end(), &data[at], &data[at] + take);
    } else {
      take = std::min<size_t>(KCCM_FRAME_BYTES - partial_.size(), left);
      partial_.insert(partial_.end(), &data[at], &data[at] + take);
    }
    offset_ += take;
    if (covered) protected_.emplace_back(at, at + take);
    at += take;
    if (in_body_ && skip_ == 0) {
      frame_.body = std::span(partial_).subspan(KCCM_FRAME_BYTES, frame_.length);
      on_frame(frame_);
      in_body_ = false;
      partial_.clear();
    } else if (!in_body_ && partial_.size() == KCCM_FRAME_BYTES) {
      Header(on_frame);
    }
  }
  return protected_;
}

}  // namespace clustix::sim
