// SPDX-License-Identifier: Apache-2.0
//
// Streams of numbered messages with a checksum, and how a receiver tells what became of them: lost,
// duplicated, out of order or changed on the way. One thread each.
#ifndef CLUSTIX_TESTS_BENCH_MSG_SOAK_STREAM_H_
#define CLUSTIX_TESTS_BENCH_MSG_SOAK_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "clustix/messenger.h"

namespace clustix::bench {

inline constexpr Port kSoakOnewayPort = 110;
inline constexpr Port kSoakCallPort = 111;    // answered with what was sent
inline constexpr Port kSoakCountsPort = 112;  // answered with StreamCounts[kSoakStreams]

// What goes to one peer: one-way messages and calls, each on both lanes.
inline constexpr size_t kSoakStreams = 4;
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

// Makes the messages of a stream.
class StreamMaker {
 public:
  explicit StreamMaker(uint64_t seed);
  // Message `number`, of `bytes` bytes, or the least that a message has; valid until the next.
  Bytes Make(uint64_t number, size_t bytes);

 private:
  std::vector<std::byte> content_;
  std::vector<std::byte> message_;
};

class StreamChecker {
 public:
  void Receive(Bytes message);
  StreamCounts counts() const;

 private:
  StreamCounts counts_;
  std::set<uint64_t> missing_;
};

// What a stream of `sent` messages has lost, by what its receiver counted.
inline uint64_t LostOf(const StreamCounts& counts, uint64_t sent) {
  return counts.missing + (sent > counts.next ? sent - counts.next : 0);
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_SOAK_STREAM_H_
