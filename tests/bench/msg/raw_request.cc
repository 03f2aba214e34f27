// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/raw_request.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace clustix::bench {
namespace {

// Of the ring, and of one receive: half of a usual second-level cache.
constexpr size_t kChunkBytes = 256 * 1024;
// A small message comes from somewhere in the program, and is copied into the batch; a large one is
// sent from where it is.
constexpr size_t kCopiedBytes = 16 * 1024;

size_t WindowOf(const Case& what, size_t frame_bytes, size_t most_outstanding_bytes) {
  if (what.mode == Mode::kOneway) return SIZE_MAX;
  return std::clamp<size_t>(most_outstanding_bytes / frame_bytes, 1, what.window);
}

}  // namespace

RequestSide::RequestSide(const Case& what, Meter& meter, size_t most_outstanding_bytes)
    : what_(what),
      meter_(meter),
      kind_(what.mode == Mode::kOneway ? FrameKind::kOneway : FrameKind::kRequest),
      frame_bytes_(sizeof(FrameHeader) + what.size_bytes),
      window_(WindowOf(what, frame_bytes_, most_outstanding_bytes)),
      ring_(std::max<size_t>(2, kChunkBytes / frame_bytes_) * frame_bytes_),
      begins_(what.mode == Mode::kOneway ? 1 : window_),
      payload_(what.size_bytes),
      incoming_(kChunkBytes) {
  for (size_t i = 0; i < ring_.size(); ++i) ring_[i] = static_cast<std::byte>(i * 7);
  for (size_t i = 0; i < payload_.size(); ++i) payload_[i] = static_cast<std::byte>(i * 7);
}

std::span<const std::byte> RequestSide::Outgoing() {
  if (!stopping_) {
    const size_t held = unsent_ + head_ % frame_bytes_;
    const size_t room = (ring_.size() - held) / frame_bytes_;
    const size_t frames = std::min(room, window_ - outstanding_);
    if (!meter_.running()) {
      stopping_ = true;
    } else if (frames > 0) {
      Queue(frames);
    }
  }
  if (stopping_ && kind_ == FrameKind::kOneway && unsent_ == 0 && !end_queued_) QueueEnd();
  return {ring_.data() + head_, std::min(unsent_, ring_.size() - head_)};
}

void RequestSide::Queue(size_t frames) {
  size_t at = head_ + unsent_;
  if (at >= ring_.size()) at -= ring_.size();
  for (size_t i = 0; i < frames; ++i) {
    StoreHeader(ring_.data() + at, MakeHeader(kind_, what_.size_bytes, next_id_++));
    if (payload_.size() < kCopiedBytes) {
      std::memcpy(ring_.data() + at + sizeof(FrameHeader), payload_.data(), payload_.size());
    }
    at += frame_bytes_;
    if (at == ring_.size()) at = 0;
    if (kind_ == FrameKind::kOneway) continue;
    begins_[next_begin_++] = meter_.Begin();
    if (next_begin_ == window_) next_begin_ = 0;
  }
  unsent_ += frames * frame_bytes_;
  if (kind_ == FrameKind::kOneway) {
    oneway_ += frames;
    meter_.End(0, frames);
  } else {
    outstanding_ += frames;
  }
}

// The ring is empty. Its first bytes serve for a frame of another size: there are no more.
void RequestSide::QueueEnd() {
  const uint64_t count = 0;
  if (ring_.size() < sizeof(FrameHeader) + kEndPayload) {
    ring_.resize(sizeof(FrameHeader) + kEndPayload);
  }
  StoreHeader(ring_.data(), MakeHeader(FrameKind::kEnd, kEndPayload, 0));
  std::memcpy(ring_.data() + sizeof(FrameHeader), &count, kEndPayload);
  head_ = 0;
  unsent_ = sizeof(FrameHeader) + kEndPayload;
  outstanding_ = 1;
  end_queued_ = true;
}

absl::Status RequestSide::Sent(size_t bytes) {
  unsent_ -= bytes;
  head_ += bytes;
  if (head_ == ring_.size()) head_ = 0;
  return absl::OkStatus();
}

absl::Status RequestSide::Received(size_t bytes) {
  const std::byte* from = incoming_.data();
  const std::byte* const end = from + bytes;
  while (from < end) {
    if (reply_bytes_ < head_of_reply_.size()) {
      const size_t missing = head_of_reply_.size() - reply_bytes_;
      const size_t have = std::min<size_t>(missing, static_cast<size_t>(end - from));
      std::memcpy(head_of_reply_.data() + reply_bytes_, from, have);
    }
    const size_t expected =
        kind_ == FrameKind::kOneway ? sizeof(FrameHeader) + kEndPayload : frame_bytes_;
    const size_t taken = std::min<size_t>(expected - reply_bytes_, static_cast<size_t>(end - from));
    from += taken;
    reply_bytes_ += taken;
    if (reply_bytes_ < expected) break;
    reply_bytes_ = 0;
    if (absl::Status status = OnReply(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RequestSide::OnReply() {
  const FrameHeader header = LoadHeader(head_of_reply_.data());
  if (outstanding_ == 0 || header.id != next_reply_) {
    return absl::DataLossError(
        absl::StrCat("the answer to request ", header.id, " came, but ", next_reply_, " was next"));
  }
  ++next_reply_;
  --outstanding_;
  if (kind_ == FrameKind::kOneway) {
    uint64_t arrived;
    std::memcpy(&arrived, head_of_reply_.data() + sizeof(header), kEndPayload);
    if (KindOf(header) == FrameKind::kEnd && arrived == oneway_) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrCat("sent ", oneway_, " messages, and ", arrived, " arrived"));
  }
  if (PayloadOf(header) != what_.size_bytes) {
    return absl::DataLossError(
        absl::StrCat("an answer of ", PayloadOf(header), " bytes to ", what_.size_bytes));
  }
  meter_.End(begins_[oldest_begin_++]);
  if (oldest_begin_ == window_) oldest_begin_ = 0;
  return absl::OkStatus();
}

absl::Status RequestSide::OnEnd() const {
  return absl::UnavailableError("the server closed the connection");
}

}  // namespace clustix::bench
