// SPDX-License-Identifier: Apache-2.0
//
// Messages of the engine as bytes between nodes: a fixed header, little endian, and behind it the
// object's value, a report, or changes.
//
//    0  u8   layout (kWireLayout)    1  u8   kind        2  u8   status    3  u8   right
//    4  u8   content                 5  u8   mode        6  u8   flags     7  u8   RoomDigest()
//    8  u32  epoch                  12  u32  set        16  u64  object   24  u64  request
//   32  u64  stamp                  40  u64  version    48  u16  peer     50  u16  0
//   52  u32  bytes behind the header
//
// A large value travels as a message of its own right behind its header (kDetached), so that it is
// sent from where it is: on the same lane and port, which keep the two together.
//
// What is longer than one message of the messenger (a report of tens of thousands of objects) is
// cut into parts, on one lane and port: kWirePart, a byte that is 1 in the last of them, and its
// bytes.
//
// Nothing that comes from outside is believed: every enum, count and size is checked before it is
// used, and decoding takes no more memory than the message has bytes, twice over. Pure; any thread.
#ifndef CLUSTIX_LIB_KDDM_WIRE_H_
#define CLUSTIX_LIB_KDDM_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/kddm/message.h"

namespace clustix::kddm {

inline constexpr uint8_t kWireLayout = 2;
inline constexpr uint8_t kWirePart = 255;  // in place of a layout
inline constexpr size_t kWirePartHeaderBytes = 2;
inline constexpr size_t kWireHeaderBytes = 56;
inline constexpr size_t kWireReportBytes = 16;  // a report's own header
inline constexpr size_t kWireEntryBytes = 36;
inline constexpr size_t kWireDoubtBytes = 4;
inline constexpr size_t kWireChangeBytes = 25;
// A value from here on is sent in place, behind its header.
inline constexpr size_t kDetachedBytesMin = 16 * 1024;

// Whether the value of the message is to follow as a message of its own.
inline bool SendsDetached(const Message& message) {
  return message.data != nullptr && message.data->size() >= kDetachedBytesMin;
}

// Replaces what is in `to`, whose memory is used again, by the message: without the value if it is
// sent detached.
void EncodeMessage(const Message& message, std::vector<std::byte>* to);

struct Decoded {
  Message message;
  size_t detached_bytes = 0;  // of the value that follows; 0: it is here, or there is none
};
// kInvalidArgument: these bytes are no message; the text says why.
absl::StatusOr<Decoded> DecodeMessage(Bytes bytes);
// Completes a message whose value was to follow. kInvalidArgument: it is not as long as announced.
absl::Status AttachValue(Bytes value, Decoded* to);

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_WIRE_H_
