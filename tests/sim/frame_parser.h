// SPDX-License-Identifier: Apache-2.0
//
// Follows the frames in one direction of one connection, as bytes of any split come along. Knows
// the wire format from lib/session/wire.h alone, so that it can contradict the session.
#ifndef CLUSTIX_TESTS_SIM_FRAME_PARSER_H_
#define CLUSTIX_TESTS_SIM_FRAME_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "lib/session/wire.h"

namespace clustix::sim {

uint64_t LoadLe(const std::byte* from, size_t bytes);
void StoreLe(std::byte* to, uint64_t value, size_t bytes);

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t length = 0;
  uint64_t seq = 0;
  uint64_t request = 0;
  uint64_t end = 0;                 // offset in the stream just after the frame
  std::span<const std::byte> body;  // of control frames; of messages it is empty

  bool IsMessage() const { return type >= KCCM_FRAME_MESSAGE && type <= KCCM_FRAME_REPLY; }
};

class FrameParser {
 public:
  using OnFrame = std::function<void(const Frame&)>;
  // Parses on. A message is reported when its header is complete, any other frame when its body
  // is. Returns the stretches of `data` that a checksum protects, as (begin, end).
  const std::vector<std::pair<size_t, size_t>>& Feed(std::span<const std::byte> data,
                                                     const OnFrame& on_frame);
  // False: what came is no sequence of frames; nothing more is parsed.
  bool valid() const { return valid_; }
  uint64_t offset() const { return offset_; }

 private:
  void Header(const OnFrame& on_frame);

  std::vector<std::byte> partial_;  // of a header, or of a control frame as a whole
  uint64_t skip_ = 0;               // bytes of a message still to pass by
  bool skip_protected_ = false;
  bool in_body_ = false;
  Frame frame_;
  uint64_t offset_ = 0;
  bool valid_ = true;
  std::vector<std::pair<size_t, size_t>> protected_;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_FRAME_PARSER_H_
