// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/wire.h"

#include <memory>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/kddm/limits.h"

namespace clustix::kddm {
namespace {

enum Flag : uint8_t {
  kBlind = 1,
  kGot = 2,
  kHasData = 4,
  kHasReport = 8,
  kDetached = 16,
  kHasChanges = 32,
};
constexpr uint8_t kAllFlags = kBlind | kGot | kHasData | kHasReport | kDetached | kHasChanges;

// Of an entry of a report.
enum EntryFlag : uint8_t { kGranteeLives = 1, kRemoving = 2 };
constexpr uint8_t kAllEntryFlags = kGranteeLives | kRemoving;

enum ChangeFlag : uint8_t { kAny = 1, kRemoved = 2 };
constexpr uint8_t kAllChangeFlags = kAny | kRemoved;

// Plain stores and loads on the machines that we know; right on any.
template <typename T>
void Write(std::byte* at, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}
template <typename T>
T Load(const std::byte* at) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(at[i]) << (8 * i)));
  }
  return value;
}

absl::Status Bad(const char* what, uint64_t value) {
  return absl::InvalidArgumentError(absl::StrCat(what, " ", value));
}

void EncodeReport(const Report& report, std::byte* at) {
  Write(at, static_cast<uint32_t>(report.entries.size()));
  Write(at + 4, static_cast<uint32_t>(report.doubts.size()));
  Write(at + 8, static_cast<uint16_t>(report.failures));
  Write(at + 10, static_cast<uint16_t>(report.settled_members));
  at[12] = static_cast<std::byte>(report.fresh);
  at += kWireReportBytes;
  for (const ReportEntry& entry : report.entries) {
    Write(at, entry.key.object);
    Write(at + 8, entry.version);
    Write(at + 16, entry.demoted);
    Write(at + 24, entry.key.set);
    Write(at + 28, entry.grantee);
    at[30] = static_cast<std::byte>(entry.role);
    at[31] = static_cast<std::byte>(entry.content);
    at[32] = static_cast<std::byte>((entry.grantee_lives ? kGranteeLives : 0) |
                                    (entry.removing ? kRemoving : 0));
    at += kWireEntryBytes;
  }
  for (const Doubt& doubt : report.doubts) {
    Write(at, doubt.bucket);
    at[2] = static_cast<std::byte>(doubt.mask);
    at += kWireDoubtBytes;
  }
}

size_t ReportBytes(const Report& report) {
  return kWireReportBytes + report.entries.size() * kWireEntryBytes +
         report.doubts.size() * kWireDoubtBytes;
}

absl::Status CheckSet(SetId set) {
  return PlacementOf(set) <= Placement::kIdBits ? absl::OkStatus() : Bad("a set", set);
}

absl::Status DecodeEntry(const std::byte* at, ReportEntry* entry) {
  entry->key = {.object = Load<uint64_t>(at), .set = Load<uint32_t>(at + 24)};
  if (absl::Status set = CheckSet(entry->key.set); !set.ok()) return set;
  entry->version = Load<uint64_t>(at + 8);
  entry->demoted = Load<uint64_t>(at + 16);
  entry->grantee = Load<uint16_t>(at + 28);
  const auto role = static_cast<uint8_t>(at[30]);
  const auto content = static_cast<uint8_t>(at[31]);
  const auto flags = static_cast<uint8_t>(at[32]);
  if (entry->grantee > kNodesMax) return Bad("a report's grantee", entry->grantee);
  if (role > static_cast<uint8_t>(Role::kGranted)) return Bad("a report's role", role);
  if (content > static_cast<uint8_t>(Content::kLost)) return Bad("a report's content", content);
  if ((flags & ~kAllEntryFlags) != 0) return Bad("a report's flags", flags);
  entry->role = static_cast<Role>(role);
  entry->content = static_cast<Content>(content);
  entry->grantee_lives = (flags & kGranteeLives) != 0;
  entry->removing = (flags & kRemoving) != 0;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Report>> DecodeReport(Bytes bytes) {
  if (bytes.size() < kWireReportBytes) return Bad("a report's bytes", bytes.size());
  const std::byte* at = bytes.data();
  const size_t entries = Load<uint32_t>(at), doubts = Load<uint32_t>(at + 4);
  if (bytes.size() != kWireReportBytes + entries * kWireEntryBytes + doubts * kWireDoubtBytes) {
    return Bad("a report's entries", entries);
  }
  auto report = std::make_shared<Report>();
  report->failures = Load<uint16_t>(at + 8);
  report->settled_members = Load<uint16_t>(at + 10);
  if (static_cast<uint8_t>(at[12]) > 1) return Bad("a report's flag", static_cast<uint8_t>(at[12]));
  report->fresh = at[12] != std::byte{0};
  at += kWireReportBytes;
  report->entries.resize(entries);
  for (ReportEntry& entry : report->entries) {
    if (absl::Status decoded = DecodeEntry(at, &entry); !decoded.ok()) return decoded;
    at += kWireEntryBytes;
  }
  report->doubts.resize(doubts);
  for (Doubt& doubt : report->doubts) {
    doubt = {.bucket = Load<uint16_t>(at), .mask = static_cast<DoubtMask>(at[2])};
    if (doubt.bucket > kHashBuckets + kPlacedNodes) return Bad("a bucket", doubt.bucket);
    if (doubt.mask > kAllDoubt) return Bad("a doubt", doubt.mask);
    at += kWireDoubtBytes;
  }
  return std::shared_ptr<const Report>(std::move(report));
}

void EncodeChanges(const Changes& changes, std::byte* at) {
  for (const Change& change : changes) {
    Write(at, change.watch);
    Write(at + 8, change.object);
    Write(at + 16, change.version);
    at[24] = static_cast<std::byte>((change.any ? kAny : 0) | (change.removed ? kRemoved : 0));
    at += kWireChangeBytes;
  }
}

absl::StatusOr<std::shared_ptr<const Changes>> DecodeChanges(Bytes bytes) {
  const size_t count = bytes.size() / kWireChangeBytes;
  if (count == 0 || count > kChangesMax || bytes.size() % kWireChangeBytes != 0) {
    return Bad("changes of bytes", bytes.size());
  }
  auto changes = std::make_shared<Changes>(count);
  const std::byte* at = bytes.data();
  for (Change& change : *changes) {
    const auto flags = static_cast<uint8_t>(at[24]);
    if ((flags & ~kAllChangeFlags) != 0) return Bad("a change's flags", flags);
    change = {.watch = Load<uint64_t>(at),
              .any = (flags & kAny) != 0,
              .removed = (flags & kRemoved) != 0,
              .object = Load<uint64_t>(at + 8),
              .version = Load<uint64_t>(at + 16)};
    at += kWireChangeBytes;
  }
  return std::shared_ptr<const Changes>(std::move(changes));
}

// The last mode that a message of this kind may have.
uint8_t ModeMax(Kind kind) {
  if (kind == Kind::kInv) return static_cast<uint8_t>(InvMode::kDemote);
  if (kind == Kind::kRecall) return static_cast<uint8_t>(RecallMode::kReturn);
  return 0;
}

absl::Status DecodeEnums(const std::byte* at, Message* message) {
  const auto kind = static_cast<uint8_t>(at[1]), status = static_cast<uint8_t>(at[2]);
  const auto right = static_cast<uint8_t>(at[3]), content = static_cast<uint8_t>(at[4]);
  const auto mode = static_cast<uint8_t>(at[5]);
  if (kind < static_cast<uint8_t>(Kind::kRead) || kind > static_cast<uint8_t>(Kind::kMigrated)) {
    return Bad("a kind", kind);
  }
  if (status > static_cast<uint8_t>(Status::kUnavailable)) return Bad("a status", status);
  if (right > static_cast<uint8_t>(Right::kExclusive)) return Bad("a right", right);
  if (content > static_cast<uint8_t>(Content::kLost)) return Bad("a content", content);
  message->kind = static_cast<Kind>(kind);
  if (mode > ModeMax(message->kind)) return Bad("a mode", mode);
  message->status = static_cast<Status>(status);
  message->right = static_cast<Right>(right);
  message->content = static_cast<Content>(content);
  message->mode = mode;
  return absl::OkStatus();
}

// What stands behind the header, or will follow.
absl::Status DecodeBody(Bytes body, uint8_t flags, size_t announced, Decoded* to) {
  const bool reports = to->message.kind == Kind::kReport || to->message.kind == Kind::kSettled;
  const bool tells = to->message.kind == Kind::kChanged;
  if (((flags & kHasReport) != 0) != reports || ((flags & kHasChanges) != 0) != tells ||
      ((reports || tells) && (flags & kHasData) != 0)) {
    return Bad("a body for this kind, flags", flags);
  }
  const bool detached = (flags & kDetached) != 0;
  if (detached && ((flags & kHasData) == 0 || announced < kDetachedBytesMin)) {
    return Bad("a detached value of bytes", announced);
  }
  if (body.size() != (detached ? 0 : announced)) return Bad("bytes behind the header", body.size());
  if (reports) {
    absl::StatusOr<std::shared_ptr<const Report>> report = DecodeReport(body);
    if (!report.ok()) return report.status();
    to->message.report = *std::move(report);
    return absl::OkStatus();
  }
  if (tells) {
    absl::StatusOr<std::shared_ptr<const Changes>> changes = DecodeChanges(body);
    if (!changes.ok()) return changes.status();
    to->message.changes = *std::move(changes);
    return absl::OkStatus();
  }
  if ((flags & kHasData) == 0) {
    return announced == 0 ? absl::OkStatus() : Bad("bytes of no value", announced);
  }
  if (announced < 1 || announced > kObjectBytesMax) return Bad("a value of bytes", announced);
  to->detached_bytes = detached ? announced : 0;
  if (!detached) {
    to->message.data = std::make_shared<const std::vector<std::byte>>(body.begin(), body.end());
  }
  return absl::OkStatus();
}

}  // namespace

void EncodeMessage(const Message& message, std::vector<std::byte>* to) {
  const bool detached = SendsDetached(message);
  size_t announced = 0;
  if (message.data != nullptr) announced = message.data->size();
  if (message.report != nullptr) announced = ReportBytes(*message.report);
  if (message.changes != nullptr) announced = message.changes->size() * kWireChangeBytes;
  to->assign(kWireHeaderBytes, std::byte{0});
  std::byte* at = to->data();
  uint8_t flags = 0;
  if (message.blind) flags |= kBlind;
  if (message.got) flags |= kGot;
  if (message.data != nullptr) flags |= kHasData;
  if (message.report != nullptr) flags |= kHasReport;
  if (message.changes != nullptr) flags |= kHasChanges;
  if (detached) flags |= kDetached;
  at[0] = std::byte{kWireLayout};
  at[1] = static_cast<std::byte>(message.kind);
  at[2] = static_cast<std::byte>(message.status);
  at[3] = static_cast<std::byte>(message.right);
  at[4] = static_cast<std::byte>(message.content);
  at[5] = std::byte{message.mode};
  at[6] = std::byte{flags};
  at[7] = std::byte{message.room};
  Write(at + 8, message.epoch);
  Write(at + 12, message.key.set);
  Write(at + 16, message.key.object);
  Write(at + 24, message.request);
  Write(at + 32, message.stamp);
  Write(at + 40, message.version);
  Write(at + 48, message.peer);
  Write(at + 52, static_cast<uint32_t>(announced));
  if (message.report != nullptr) {
    to->resize(kWireHeaderBytes + announced);
    EncodeReport(*message.report, to->data() + kWireHeaderBytes);
  } else if (message.changes != nullptr) {
    to->resize(kWireHeaderBytes + announced);
    EncodeChanges(*message.changes, to->data() + kWireHeaderBytes);
  } else if (announced != 0 && !detached) {
    to->insert(to->end(), message.data->begin(), message.data->end());
  }
}

absl::StatusOr<Decoded> DecodeMessage(Bytes bytes) {
  if (bytes.size() < kWireHeaderBytes) return Bad("a message of bytes", bytes.size());
  const std::byte* at = bytes.data();
  const auto layout = static_cast<uint8_t>(at[0]), flags = static_cast<uint8_t>(at[6]);
  if (layout != kWireLayout) return Bad("a message of layout", layout);
  if ((flags & ~kAllFlags) != 0) return Bad("flags", flags);
  const auto room = static_cast<uint8_t>(at[7]);
  if (room > kRoomDigestMax) return Bad("a room", room);
  if (Load<uint16_t>(at + 50) != 0) return Bad("unknown fields in layout", layout);
  Decoded decoded;
  Message& message = decoded.message;
  if (absl::Status enums = DecodeEnums(at, &message); !enums.ok()) return enums;
  message.blind = (flags & kBlind) != 0;
  message.got = (flags & kGot) != 0;
  message.room = room;
  message.epoch = Load<uint32_t>(at + 8);
  message.key = {.object = Load<uint64_t>(at + 16), .set = Load<uint32_t>(at + 12)};
  if (absl::Status set = CheckSet(message.key.set); !set.ok()) return set;
  message.request = Load<uint64_t>(at + 24);
  message.stamp = Load<uint64_t>(at + 32);
  message.version = Load<uint64_t>(at + 40);
  message.peer = Load<uint16_t>(at + 48);
  if (message.epoch == 0) return Bad("an epoch", 0);
  if (message.peer > kNodesMax) return Bad("a peer", message.peer);
  const size_t announced = Load<uint32_t>(at + 52);
  absl::Status body = DecodeBody(bytes.subspan(kWireHeaderBytes), flags, announced, &decoded);
  if (!body.ok()) return body;
  return decoded;
}

absl::Status AttachValue(Bytes value, Decoded* to) {
  if (to->detached_bytes == 0 || value.size() != to->detached_bytes) {
    return Bad("a value that follows, of bytes", value.size());
  }
  to->message.data = std::make_shared<const std::vector<std::byte>>(value.begin(), value.end());
  to->detached_bytes = 0;
  return absl::OkStatus();
}

}  // namespace clustix::kddm
