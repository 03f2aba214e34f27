// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/message.h"

#include "lib/kddm/limits.h"
#include "lib/kddm/wire.h"

namespace clustix::kddm {

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kRead:
      return "read";
    case Kind::kWrite:
      return "write";
    case Kind::kPut:
      return "put";
    case Kind::kSync:
      return "sync";
    case Kind::kYield:
      return "yield";
    case Kind::kReply:
      return "reply";
    case Kind::kInv:
      return "inv";
    case Kind::kRecall:
      return "recall";
    case Kind::kBackup:
      return "backup";
    case Kind::kPull:
      return "pull";
    case Kind::kQuery:
      return "query";
    case Kind::kInvAck:
      return "inv-ack";
    case Kind::kRecallAck:
      return "recall-ack";
    case Kind::kBackupAck:
      return "backup-ack";
    case Kind::kPulled:
      return "pulled";
    case Kind::kUnblock:
      return "unblock";
    case Kind::kReport:
      return "report";
    case Kind::kSettled:
      return "settled";
    case Kind::kWatch:
      return "watch";
    case Kind::kUnwatch:
      return "unwatch";
    case Kind::kChangedAck:
      return "changed-ack";
    case Kind::kWatchAck:
      return "watch-ack";
    case Kind::kChanged:
      return "changed";
    case Kind::kMigrate:
      return "migrate";
    case Kind::kMigrated:
      return "migrated";
  }
  return "?";
}

const char* StatusName(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kNotFound:
      return "not found";
    case Status::kLost:
      return "lost";
    case Status::kCancelled:
      return "cancelled";
    case Status::kUnknown:
      return "unknown";
    case Status::kRevoked:
      return "revoked";
    case Status::kNoSpace:
      return "no space";
    case Status::kBadRequest:
      return "bad request";
    case Status::kUnavailable:
      return "unavailable";
  }
  return "?";
}

size_t WireBytes(const Message& message) {
  size_t bytes = kWireHeaderBytes;
  if (message.data != nullptr) bytes += message.data->size();
  if (message.report != nullptr) {
    bytes += kWireReportBytes + message.report->entries.size() * kWireEntryBytes;
    bytes += message.report->doubts.size() * kWireDoubtBytes;
  }
  if (message.changes != nullptr) bytes += message.changes->size() * kWireChangeBytes;
  return bytes;
}

Lane LaneOf(const Message& message) {
  return WireBytes(message) > kWireHeaderBytes + kSmallBytes ? Lane::kBulk : Lane::kControl;
}

}  // namespace clustix::kddm
