// SPDX-License-Identifier: Apache-2.0
//
// How the engine's statuses are told to programs. Any thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_REPLY_STATUS_H_
#define CLUSTIX_DAEMON_OBJECTS_REPLY_STATUS_H_

#include <cstdint>

#include "lib/client/set_requests.h"
#include "lib/kddm/message.h"

namespace clustix::daemon {

constexpr client::SetReplyStatus ToReply(kddm::Status status) {
  return static_cast<client::SetReplyStatus>(static_cast<uint32_t>(status));
}
static_assert(ToReply(kddm::Status::kNotFound) == client::SetReplyStatus::kNotFound);
static_assert(ToReply(kddm::Status::kLost) == client::SetReplyStatus::kLost);
static_assert(ToReply(kddm::Status::kCancelled) == client::SetReplyStatus::kCancelled);
static_assert(ToReply(kddm::Status::kUnknown) == client::SetReplyStatus::kUnknown);
static_assert(ToReply(kddm::Status::kRevoked) == client::SetReplyStatus::kRevoked);
static_assert(ToReply(kddm::Status::kNoSpace) == client::SetReplyStatus::kNoSpace);
static_assert(ToReply(kddm::Status::kBadRequest) == client::SetReplyStatus::kBadRequest);
static_assert(ToReply(kddm::Status::kUnavailable) == client::SetReplyStatus::kUnavailable);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_REPLY_STATUS_H_
