// SPDX-License-Identifier: Apache-2.0
//
// Memory for the answers to calls through the kernel module, which wants to know where an answer
// goes when the call is made. So each call has room for the largest answer: address space, of which
// only what an answer fills becomes memory. Belongs to the loop's thread.
#ifndef CLUSTIX_LIB_MSG_ANSWER_ROOMS_H_
#define CLUSTIX_LIB_MSG_ANSWER_ROOMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace clustix::msg {

struct AnswerRoom {
  std::byte* data = nullptr;
  size_t kept = 0;  // bytes at its start that have been memory before
};

class AnswerRooms {
 public:
  // At most `rooms` at a time, of `room_bytes` each.
  AnswerRooms(size_t rooms, size_t room_bytes);
  // All rooms must have been given back.
  ~AnswerRooms();
  AnswerRooms(const AnswerRooms&) = delete;
  AnswerRooms& operator=(const AnswerRooms&) = delete;

  size_t room_bytes() const { return room_bytes_; }
  bool HasRoom() const { return taken_ < rooms_; }
  // Without data: all are taken, or there is no address space.
  AnswerRoom Take();
  // Gives a room back, of which `used` bytes may have been written.
  void Give(AnswerRoom room, size_t used);

  // Bytes of memory that free rooms hold on to, for the next answers.
  size_t kept_bytes() const { return kept_bytes_; }
  static constexpr size_t kKeptBytesMax = 4 * 1024 * 1024;

 private:
  bool Grow();

  const size_t rooms_;
  const size_t room_bytes_;  // whole pages
  std::vector<std::byte*> chunks_;
  std::vector<AnswerRoom> free_;  // the last one was used last
  size_t taken_ = 0;
  size_t kept_bytes_ = 0;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_ANSWER_ROOMS_H_
