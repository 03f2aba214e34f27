// SPDX-License-Identifier: Apache-2.0
#include "proto/message.h"

#include <cstring>
#include <string>

namespace clustix::proto {
namespace {

// The schemas nest five deep.
constexpr int kNestingMax = 16;

// Every part of a message is read about twice (a list's size, then its elements); a message whose
// pointers overlap, so that a few bytes unfold into gigabytes, runs into this bound.
constexpr size_t kTraversalFactor = 4;
constexpr size_t kTraversalWordsMin = 1024;

absl::Status Malformed(const kj::Exception& exception) {
  return absl::InvalidArgumentError(std::string("malformed message: ") +
                                    exception.getDescription().cStr());
}

}  // namespace

namespace internal {

absl::Status ReadChecked(std::span<const std::byte> bytes,
                         const std::function<absl::Status(capnp::MessageReader&)>& read) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0) {
    return absl::InvalidArgumentError("malformed message: " + std::to_string(bytes.size()) +
                                      " bytes are not whole words");
  }
  // The bytes may start anywhere in a receive buffer, and Cap'n Proto wants aligned words.
  kj::Array<capnp::word> words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), bytes.size());
  capnp::ReaderOptions options;
  options.traversalLimitInWords = kTraversalWordsMin + kTraversalFactor * words.size();
  options.nestingLimit = kNestingMax;
  try {
    capnp::FlatArrayMessageReader message(words, options);
    return read(message);
  } catch (const kj::Exception& exception) {
    return Malformed(exception);
  }
}

}  // namespace internal

std::vector<std::byte> WriteMessage(capnp::MessageBuilder& message) {
  kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  kj::ArrayPtr<kj::byte> bytes = words.asBytes();
  std::vector<std::byte> out(bytes.size());
  std::memcpy(out.data(), bytes.begin(), bytes.size());
  return out;
}

}  // namespace clustix::proto
