// SPDX-License-Identifier: Apache-2.0
#include "lib/client/set_requests.h"

namespace clustix::client {

const char* SetReplyStatusName(SetReplyStatus status) {
  switch (status) {
    case SetReplyStatus::kOk:
      return "ok";
    case SetReplyStatus::kNotFound:
      return "not found";
    case SetReplyStatus::kLost:
      return "lost";
    case SetReplyStatus::kCancelled:
      return "cancelled";
    case SetReplyStatus::kUnknown:
      return "outcome unknown";
    case SetReplyStatus::kRevoked:
      return "revoked";
    case SetReplyStatus::kNoSpace:
      return "no space";
    case SetReplyStatus::kBadRequest:
      return "bad request";
    case SetReplyStatus::kUnavailable:
      return "unavailable";
    case SetReplyStatus::kDenied:
      return "denied";
    case SetReplyStatus::kRemoved:
      return "removed";
  }
  return "?";
}

}  // namespace clustix::client
