// SPDX-License-Identifier: Apache-2.0
//
// Gives bytes to the decoder of the coherence engine's messages. What must hold: no crash, no more
// memory than the bytes account for, and what is taken for a message says the same when it is
// encoded and decoded again.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "lib/kddm/limits.h"
#include "lib/kddm/wire.h"

namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "wire_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace clustix::kddm;
  const clustix::Bytes bytes = std::as_bytes(std::span(data, size));
  absl::StatusOr<Decoded> decoded = DecodeMessage(bytes);
  if (!decoded.ok()) return 0;
  if (decoded->detached_bytes != 0) {
    Require(decoded->detached_bytes <= kObjectBytesMax, "announces more than an object");
    const std::vector<std::byte> value(decoded->detached_bytes);
    Require(!AttachValue(clustix::Bytes(value).subspan(1), &*decoded).ok(),
            "takes a value cut short");
    Require(AttachValue(value, &*decoded).ok(), "does not take the value that it announced");
  }
  std::vector<std::byte> again;
  EncodeMessage(decoded->message, &again);
  Require(SendsDetached(decoded->message) || again.size() == WireBytes(decoded->message),
          "is not as long as it is said to be");
  const absl::StatusOr<Decoded> twice = DecodeMessage(again);
  Require(twice.ok(), "does not take what it has made");
  std::vector<std::byte> third;
  Decoded whole = *twice;
  if (whole.detached_bytes != 0) {
    Require(AttachValue(*decoded->message.data, &whole).ok(), "does not take its own value");
  }
  EncodeMessage(whole.message, &third);
  Require(again == third, "says something else the second time");
  return 0;
}
