// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/soak_stream.h"

#include <algorithm>
#include <cstring>

#include "lib/base/crc32c.h"
#include "lib/base/prng.h"

namespace clustix::bench {
namespace {

struct Header {
  uint64_t number;
  uint32_t bytes;     // of the whole message
  uint32_t checksum;  // of everything but itself
};
static_assert(sizeof(Header) == 16);

constexpr size_t kLargestContent = 128 * 1024;
// A gap of more numbers than this is a receiver gone wrong; each is kept by itself.
constexpr uint64_t kMostMissing = 1'000'000;

uint32_t Checksum(const Header& header, Bytes content) {
  const uint32_t crc = base::Crc32c(&header, offsetof(Header, checksum));
  return base::Crc32cExtend(crc, content.data(), content.size());
}

}  // namespace

StreamMaker::StreamMaker(uint64_t seed) : content_(2 * kLargestContent) {
  base::Prng(seed).Fill(content_.data(), content_.size());
}

Bytes StreamMaker::Make(uint64_t number, size_t bytes) {
  bytes = std::clamp(bytes, sizeof(Header), sizeof(Header) + kLargestContent);
  const Bytes content(content_.data() + number % kLargestContent, bytes - sizeof(Header));
  Header header{.number = number, .bytes = static_cast<uint32_t>(bytes), .checksum = 0};
  header.checksum = Checksum(header, content);
  message_.resize(bytes);
  std::memcpy(message_.data(), &header, sizeof(header));
  std::memcpy(message_.data() + sizeof(header), content.data(), content.size());
  return message_;
}

void StreamChecker::Receive(Bytes message) {
  ++counts_.received;
  Header header;
  if (message.size() < sizeof(header)) {
    ++counts_.corrupt;
    return;
  }
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.bytes != message.size() ||
      header.checksum != Checksum(header, message.subspan(sizeof(header)))) {
    ++counts_.corrupt;
    return;
  }
  if (header.number < counts_.next) {
    ++(missing_.erase(header.number) > 0 ? counts_.reordered : counts_.duplicated);
    return;
  }
  const uint64_t from = header.number - std::min(header.number - counts_.next, kMostMissing);
  for (uint64_t number = from; number < header.number; ++number) missing_.insert(number);
  counts_.next = header.number + 1;
}

StreamCounts StreamChecker::counts() const {
  StreamCounts counts = counts_;
  counts.missing = missing_.size();
  return counts;
}

}  // namespace clustix::bench
