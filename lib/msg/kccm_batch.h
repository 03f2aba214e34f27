// SPDX-License-Identifier: Apache-2.0
//
// What one SEND_MANY carries: messages whose outcome nobody waits for, in the order in which they
// were sent, until something else goes to the kernel after them. Pure; belongs to the loop's
// thread.
#ifndef CLUSTIX_LIB_MSG_KCCM_BATCH_H_
#define CLUSTIX_LIB_MSG_KCCM_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "include/uapi/kccm.h"

namespace clustix::msg {

class KccmBatch {
 public:
  // Larger ones are better off alone: copying them once more would cost more than a command does.
  static constexpr size_t kPayloadMax = 4096;

  bool HasRoomFor(size_t payload_bytes) const {
    return commands_.size() < KCCM_URING_MANY_MAX &&
           payloads_.size() + payload_bytes <= KCCM_URING_MANY_BYTES_MAX;
  }
  // Copies the payload. `command`: whose message it is, for who asks later.
  void Add(const kccm_uring_send& request, uint32_t command);
  // The arguments for the kernel, which belong to it, and all the rest, until Clear(). Nothing is
  // added any more.
  kccm_uring_send_many& Seal();
  kccm_uring_send_many& arguments() { return arguments_; }
  const kccm_uring_send_many& arguments() const { return arguments_; }
  // Where message `i` goes: its node and lane.
  std::pair<uint16_t, uint8_t> LaneOf(size_t i) const {
    return {messages_[i].node, messages_[i].lane};
  }
  const std::vector<uint32_t>& commands() const { return commands_; }
  void Clear();

 private:
  kccm_uring_send_many arguments_ = {};
  std::vector<kccm_uring_message> messages_;
  std::vector<std::byte> payloads_;
  std::vector<uint32_t> commands_;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_KCCM_BATCH_H_
