// SPDX-License-Identifier: Apache-2.0
//
// The asking side of one raw connection, without the socket: fills the window with requests,
// matches answers, ends a one-way stream by asking what has arrived. Requests lie side by side in a
// ring, with their payload, and only the header of each is written anew: one send() carries as many
// as there are. One thread.
#ifndef CLUSTIX_TESTS_BENCH_MSG_RAW_REQUEST_H_
#define CLUSTIX_TESTS_BENCH_MSG_RAW_REQUEST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/msg/peer.h"
#include "tests/bench/msg/raw_frame.h"

namespace clustix::bench {

class RequestSide {
 public:
  // Never has more than `most_outstanding_bytes` of requests outstanding, unless one alone is
  // larger.
  RequestSide(const Case& what, Meter& meter, size_t most_outstanding_bytes);

  std::span<std::byte> Incoming() { return incoming_; }
  absl::Status Received(size_t bytes);
  // Queues what the window and the ring have room for; returns what is to be sent, in one piece.
  std::span<const std::byte> Outgoing();
  absl::Status Sent(size_t bytes);

  // Everything has been sent and answered.
  bool done() const {
    return stopping_ && unsent_ == 0 && outstanding_ == 0 &&
           (end_queued_ || kind_ == FrameKind::kRequest);
  }
  absl::Status OnEnd() const;

 private:
  void Queue(size_t frames);
  void QueueEnd();
  absl::Status OnReply();

  const Case what_;
  Meter& meter_;
  const FrameKind kind_;
  const size_t frame_bytes_;
  const size_t window_;

  // Frames; [head_, head_ + unsent_), around its end, is to be sent.
  std::vector<std::byte> ring_;
  size_t head_ = 0, unsent_ = 0;
  uint32_t next_id_ = 0;
  size_t outstanding_ = 0;
  bool stopping_ = false;
  bool end_queued_ = false;
  uint64_t oneway_ = 0;

  // Of requests that are outstanding, oldest first: what Meter::Begin() said.
  std::vector<uint64_t> begins_;
  size_t oldest_begin_ = 0, next_begin_ = 0;

  std::vector<std::byte> payload_;  // of every message, as the program has it

  // Replies come in order. What is there of one: first its header, then the rest of its payload,
  // of which only an end frame's matters.
  std::vector<std::byte> incoming_;
  std::array<std::byte, sizeof(FrameHeader) + kEndPayload> head_of_reply_;
  size_t reply_bytes_ = 0;  // received of the current reply
  uint32_t next_reply_ = 0;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_RAW_REQUEST_H_
