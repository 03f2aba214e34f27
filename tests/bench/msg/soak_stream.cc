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

constexpr size_t kPageBytes = 4096;
// A gap of more numbers than this is a receiver gone wrong; each is kept by itself.
constexpr uint64_t kMostMissing = 1'000'000;

uint32_t Checksum(const Header& header, Bytes content) {
  const uint32_t crc = base::Crc32c(&header, offsetof(Header, checksum));
  return base::Crc32cExtend(crc, content.data(), content.size());
}

}  // namespace

// The content of a message is a stretch of the same bytes, from another place each time.
StreamMaker::StreamMaker(uint64_t seed, size_t largest_bytes)
    : largest_content_(std::max(largest_bytes, sizeof(Header) + 1) - sizeof(Header)),
      content_(2 * largest_content_) {
  base::Prng(seed).Fill(content_.data(), content_.size());
}

Bytes StreamMaker::Make(uint64_t number, size_t bytes) {
  bytes = std::clamp(bytes, sizeof(Header), sizeof(Header) + largest_content_);
  const Bytes content(content_.data() + number % largest_content_, bytes - sizeof(Header));
  Header header{.number = number, .bytes = static_cast<uint32_t>(bytes), .checksum = 0};
  header.checksum = Checksum(header, content);
  message_.resize(bytes);
  std::memcpy(message_.data(), &header, sizeof(header));
  std::memcpy(message_.data() + sizeof(header), content.data(), content.size());
  return message_;
}

void StampPages(std::span<std::byte> message, uint64_t number) {
  for (size_t at = 0; at + kPageBytes <= message.size(); at += kPageBytes) {
    std::memcpy(message.data() + at, &number, sizeof(number));
  }
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
  Count(header.number);
}

void StreamChecker::ReceivePages(Bytes message) {
  ++counts_.received;
  uint64_t number = 0;
  for (size_t at = 0; at + kPageBytes <= message.size(); at += kPageBytes) {
    uint64_t stamp;
    std::memcpy(&stamp, message.data() + at, sizeof(stamp));
    if (at == 0) number = stamp;
    if (stamp != number) {
      ++counts_.corrupt;
      return;
    }
  }
  if (message.size() < kPageBytes) {
    ++counts_.corrupt;
    return;
  }
  Count(number);
}

void StreamChecker::Count(uint64_t number) {
  if (number < counts_.next) {
    ++(missing_.erase(number) > 0 ? counts_.reordered : counts_.duplicated);
    return;
  }
  const uint64_t from = number - std::min(number - counts_.next, kMostMissing);
  for (uint64_t skipped = from; skipped < number; ++skipped) missing_.insert(skipped);
  counts_.next = number + 1;
}

StreamCounts StreamChecker::counts() const {
  StreamCounts counts = counts_;
  counts.missing = missing_.size();
  return counts;
}

}  // namespace clustix::bench
