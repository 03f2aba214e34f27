// SPDX-License-Identifier: Apache-2.0
//
// Streams of numbered messages with a checksum, and how a receiver tells what became of them: lost,
// duplicated, out of order or changed on the way. One thread each.
#ifndef CLUSTIX_TESTS_BENCH_MSG_SOAK_STREAM_H_
#define CLUSTIX_TESTS_BENCH_MSG_SOAK_STREAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "clustix/messenger.h"

namespace clustix::bench {

inline constexpr Port kSoakOnewayPort = 110;
inline constexpr Port kSoakCallPort = 111;    // answered with what was sent
inline constexpr Port kSoakCountsPort = 112;  // answered with SoakCounts
inline constexpr Port kSoakPagesPort = 113;   // one-way messages of StampPages()
// One byte, 1: calls on the bulk lane are not answered from now on. 0: all of them are, in order.
inline constexpr Port kSoakHoldPort = 114;

// What goes to one peer: one-way messages and calls, each on both lanes, and stamped pages.
inline constexpr size_t kSoakStreams = 5;
inline constexpr size_t kSoakPagesStream = 4;
inline size_t StreamIndex(Lane lane, bool calls) {
  return (lane == Lane::kBulk ? 1u : 0u) + (calls ? 2u : 0u);
}

struct StreamCounts {
  uint64_t received = 0;
  uint64_t missing = 0;     // that ones after them overtook and that have not come
  uint64_t duplicated = 0;  // that had come before
  uint64_t reordered = 0;   // that came after ones after them
  uint64_t corrupt = 0;     // whose checksum is wrong
  uint64_t next = 0;        // the number after the highest that has come
};

using SoakCounts = std::array<StreamCounts, kSoakStreams>;

// Makes the messages of a stream.
class StreamMaker {
 public:
  StreamMaker(uint64_t seed, size_t largest_bytes);
  // Message `number`, of `bytes` bytes, or the least or most that it can have; valid until the
  // next.
  Bytes Make(uint64_t number, size_t bytes);

 private:
  const size_t largest_content_;
  std::vector<std::byte> content_;
  std::vector<std::byte> message_;
};

// Numbers a message so that hardly any time goes into it or into the check: at the beginning of
// each page. For streams that are measured, of messages so large that a checksum would be what is
// measured. What is left of a page after the last whole one is not stamped.
void StampPages(std::span<std::byte> message, uint64_t number);

class StreamChecker {
 public:
  void Receive(Bytes message);
  // One of StampPages().
  void ReceivePages(Bytes message);
  StreamCounts counts() const;

 private:
  void Count(uint64_t number);

  StreamCounts counts_;
  std::set<uint64_t> missing_;
};

// What a stream of `sent` messages has lost, by what its receiver counted.
inline uint64_t LostOf(const StreamCounts& counts, uint64_t sent) {
  return counts.missing + (sent > counts.next ? sent - counts.next : 0);
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_SOAK_STREAM_H_
