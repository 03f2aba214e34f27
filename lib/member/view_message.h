// SPDX-License-Identifier: Apache-2.0
//
// What nodes say to agree on views (proto/view.capnp), as plain values and as bytes. Any thread.
#ifndef CLUSTIX_LIB_MEMBER_VIEW_MESSAGE_H_
#define CLUSTIX_LIB_MEMBER_VIEW_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/member/view.h"

namespace clustix::member {

struct Hello {
  bool answered = false;  // the sender knows that the receiver knows its life
  AgreedView installed;
  uint32_t highest_epoch = 0;
};

struct Proposal {
  uint64_t number = 0;
  AgreedView base;
  AgreedView next;
};

struct Accept {
  uint64_t number = 0;
};

struct Install {
  uint64_t number = 0;
};

struct ViewMessage {
  Life life = 0;       // the sender's
  Life your_life = 0;  // the receiver's, as far as the sender knows it
  std::variant<Hello, Proposal, Accept, Install> what;
};

std::vector<std::byte> EncodeViewMessage(const ViewMessage& message);
// kInvalidArgument: these bytes are no message; the text says why. What is decoded has a life, and
// views whose members ascend and have one each.
absl::StatusOr<ViewMessage> DecodeViewMessage(Bytes bytes);

}  // namespace clustix::member

#endif  // CLUSTIX_LIB_MEMBER_VIEW_MESSAGE_H_
