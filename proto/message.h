// SPDX-License-Identifier: Apache-2.0
//
// The border between Cap'n Proto and the rest: bytes of a stranger become a message or a clear
// error, never an exception and never more work than their size warrants. Pure; any thread.
#ifndef CLUSTIX_PROTO_MESSAGE_H_
#define CLUSTIX_PROTO_MESSAGE_H_

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/array.h>
#include <kj/exception.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace clustix::proto {

// Reads `bytes` as one message with a root of type Root and hands it to `read`, whose status is
// returned. kInvalidArgument if the bytes are no such message. Cap'n Proto checks pointers when
// they are followed, so `read` may be left half way: it must not have changed anything that
// outlives it until it is done. The reader is valid during the call.
template <typename Root>
absl::Status ReadMessage(std::span<const std::byte> bytes,
                         const std::function<absl::Status(typename Root::Reader)>& read);

// The message as one stretch of bytes.
std::vector<std::byte> WriteMessage(capnp::MessageBuilder& message);

// A text as the peer sent it: it may hold bytes 0.
inline std::string ToString(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

namespace internal {

absl::Status ReadChecked(std::span<const std::byte> bytes,
                         const std::function<absl::Status(capnp::MessageReader&)>& read);

}  // namespace internal

template <typename Root>
absl::Status ReadMessage(std::span<const std::byte> bytes,
                         const std::function<absl::Status(typename Root::Reader)>& read) {
  return internal::ReadChecked(
      bytes, [&read](capnp::MessageReader& message) { return read(message.getRoot<Root>()); });
}

}  // namespace clustix::proto

#endif  // CLUSTIX_PROTO_MESSAGE_H_
