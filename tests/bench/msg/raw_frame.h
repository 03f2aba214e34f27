// SPDX-License-Identifier: Apache-2.0
//
// What the raw peers say to each other over TCP: a header of eight bytes, and the payload. The
// least that a protocol of messages can have, so that nobody can be much faster over a TCP
// connection. Both ends are this machine: fields are in its byte order. Pure.
#ifndef CLUSTIX_TESTS_BENCH_MSG_RAW_FRAME_H_
#define CLUSTIX_TESTS_BENCH_MSG_RAW_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace clustix::bench {

enum class FrameKind : uint32_t {
  kRequest = 0,  // the answer is the same frame
  kOneway = 1,   // counted
  kEnd = 2,      // answered by the same frame, its payload the one-way messages since the last one
};

struct FrameHeader {
  uint32_t kind_and_bytes;  // the kind in the two upper bits, the bytes of the payload below
  uint32_t id;              // counts the requests of a run
};
static_assert(sizeof(FrameHeader) == 8);

inline constexpr uint32_t kFrameKindShift = 30;
inline constexpr size_t kLargestPayload = 1024 * 1024;
inline constexpr size_t kEndPayload = sizeof(uint64_t);

inline FrameHeader MakeHeader(FrameKind kind, size_t payload_bytes, uint32_t id) {
  return {static_cast<uint32_t>(kind) << kFrameKindShift | static_cast<uint32_t>(payload_bytes),
          id};
}
inline FrameKind KindOf(FrameHeader header) {
  return static_cast<FrameKind>(header.kind_and_bytes >> kFrameKindShift);
}
inline size_t PayloadOf(FrameHeader header) {
  return header.kind_and_bytes & ((1u << kFrameKindShift) - 1);
}
inline FrameHeader LoadHeader(const std::byte* from) {
  FrameHeader header;
  std::memcpy(&header, from, sizeof(header));
  return header;
}
inline void StoreHeader(std::byte* to, FrameHeader header) {
  std::memcpy(to, &header, sizeof(header));
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_RAW_FRAME_H_
