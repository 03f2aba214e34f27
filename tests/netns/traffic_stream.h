// SPDX-License-Identifier: Apache-2.0
//
// What the load generator sends and how a receiver proves that it came through: message n of a
// stream carries n, a length and bytes that follow from both. Pure.
#ifndef CLUSTIX_TESTS_NETNS_TRAFFIC_STREAM_H_
#define CLUSTIX_TESTS_NETNS_TRAFFIC_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "clustix/messenger.h"

namespace clustix::traffic {

struct Header {
  uint64_t number;  // in its stream, from 0
  uint64_t bytes;   // of the whole message
  uint64_t end;     // 1: the last; nothing follows
};

inline std::byte PatternAt(uint64_t number, size_t i) {
  return static_cast<std::byte>((number * 131 + i * 7 + (i >> 8)) & 0xff);
}

inline std::vector<std::byte> MakeMessage(uint64_t number, size_t bytes, bool end) {
  std::vector<std::byte> message(bytes < sizeof(Header) ? sizeof(Header) : bytes);
  Header header{number, message.size(), end ? 1u : 0u};
  std::memcpy(message.data(), &header, sizeof(header));
  for (size_t i = sizeof(header); i < message.size(); ++i) message[i] = PatternAt(number, i);
  return message;
}

// The receiving side of one stream.
class Checker {
 public:
  void Receive(Bytes message) {
    Header header;
    if (message.size() < sizeof(header)) {
      ++corrupt;
      return;
    }
    std::memcpy(&header, message.data(), sizeof(header));
    if (header.bytes != message.size()) ++corrupt;
    for (size_t i = sizeof(header); i < message.size(); ++i) {
      if (message[i] == PatternAt(header.number, i)) continue;
      ++corrupt;
      break;
    }
    ++received;
    if (header.number < expected_) {
      // Either it has come before, or a later one overtook it and it was counted as lost.
      ++duplicated_or_late;
      return;
    }
    lost += header.number - expected_;
    expected_ = header.number + 1;
    if (header.end == 1) ended = true;
  }

  uint64_t received = 0, lost = 0, duplicated_or_late = 0, corrupt = 0;
  bool ended = false;

 private:
  uint64_t expected_ = 0;
};

}  // namespace clustix::traffic

#endif  // CLUSTIX_TESTS_NETNS_TRAFFIC_STREAM_H_
