// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/wire.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/prng.h"
#include "lib/kddm/limits.h"

namespace clustix::kddm {
namespace {

using ByteVector = std::vector<std::byte>;

Data RandomData(base::Prng& prng, size_t bytes) {
  auto data = std::make_shared<ByteVector>(bytes);
  for (std::byte& byte : *data) byte = static_cast<std::byte>(prng.Next());
  return data;
}

ObjectKey RandomKey(base::Prng& prng) {
  return {.object = prng.Next(),
          .set = MakeSetId(
              static_cast<Durability>(prng.Below(4)), static_cast<Placement>(prng.Below(3)),
              static_cast<NodeId>(prng.Below(512)), static_cast<uint32_t>(prng.Next()))};
}

std::shared_ptr<const Report> RandomReport(base::Prng& prng) {
  auto report = std::make_shared<Report>();
  report->fresh = prng.Chance(1, 2);
  report->failures = prng.Below(512);
  report->settled_members = prng.Below(512);
  report->entries.resize(prng.Below(40));
  for (ReportEntry& entry : report->entries) {
    entry = {.key = RandomKey(prng),
             .version = prng.Next(),
             .role = static_cast<Role>(prng.Below(8)),
             .content = static_cast<Content>(prng.Below(3)),
             .grantee = static_cast<NodeId>(prng.Below(512)),
             .demoted = prng.Next(),
             .grantee_lives = prng.Chance(1, 2),
             .removing = prng.Chance(1, 2)};
  }
  report->doubts.resize(prng.Below(40));
  for (Doubt& doubt : report->doubts) {
    doubt = {.bucket = static_cast<Bucket>(prng.Below(kHashBuckets + kPlacedNodes + 1)),
             .mask = static_cast<DoubtMask>(prng.Below(kAllDoubt + 1))};
  }
  return report;
}

std::shared_ptr<const Changes> RandomChanges(base::Prng& prng) {
  auto changes = std::make_shared<Changes>(prng.Between(1, prng.Chance(1, 8) ? kChangesMax : 20));
  for (Change& change : *changes) {
    change = {.watch = prng.Next(),
              .any = prng.Chance(1, 2),
              .removed = prng.Chance(1, 2),
              .object = prng.Next(),
              .version = prng.Next()};
  }
  return changes;
}

Message RandomMessage(base::Prng& prng) {
  Message message{.kind = static_cast<Kind>(1 + prng.Below(25))};
  message.epoch = 1 + static_cast<Epoch>(prng.Below(UINT32_MAX));
  message.key = RandomKey(prng);
  message.request = prng.Next();
  message.stamp = prng.Next();
  message.version = prng.Next();
  message.peer = static_cast<NodeId>(prng.Below(512));
  message.status = static_cast<Status>(prng.Below(9));
  message.right = static_cast<Right>(prng.Below(3));
  message.content = static_cast<Content>(prng.Below(3));
  if (message.kind == Kind::kInv) message.mode = static_cast<uint8_t>(prng.Below(3));
  if (message.kind == Kind::kRecall) message.mode = static_cast<uint8_t>(prng.Below(3));
  message.blind = prng.Chance(1, 2);
  message.got = prng.Chance(1, 2);
  message.room = static_cast<uint8_t>(prng.Below(kRoomDigestMax + 1));
  if (message.kind == Kind::kReport || message.kind == Kind::kSettled) {
    message.report = RandomReport(prng);
  } else if (message.kind == Kind::kChanged) {
    message.changes = RandomChanges(prng);
  } else if (prng.Chance(1, 2)) {
    const size_t most = prng.Chance(1, 8) ? kObjectBytesMax : 2 * kSmallBytes;
    message.data = RandomData(prng, 1 + prng.Below(most));
  }
  return message;
}

void ExpectSame(const ReportEntry& a, const ReportEntry& b) {
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.role, b.role);
  EXPECT_EQ(a.content, b.content);
  EXPECT_EQ(a.grantee, b.grantee);
  EXPECT_EQ(a.demoted, b.demoted);
  EXPECT_EQ(a.grantee_lives, b.grantee_lives);
  EXPECT_EQ(a.removing, b.removing);
}

void ExpectSame(const Report& a, const Report& b) {
  EXPECT_EQ(a.fresh, b.fresh);
  EXPECT_EQ(a.failures, b.failures);
  EXPECT_EQ(a.settled_members, b.settled_members);
  ASSERT_EQ(a.entries.size(), b.entries.size());
  for (size_t i = 0; i < a.entries.size(); ++i) ExpectSame(a.entries[i], b.entries[i]);
  ASSERT_EQ(a.doubts.size(), b.doubts.size());
  for (size_t i = 0; i < a.doubts.size(); ++i) {
    EXPECT_EQ(a.doubts[i].bucket, b.doubts[i].bucket);
    EXPECT_EQ(a.doubts[i].mask, b.doubts[i].mask);
  }
}

void ExpectSame(const Changes& a, const Changes& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].watch, b[i].watch);
    EXPECT_EQ(a[i].any, b[i].any);
    EXPECT_EQ(a[i].removed, b[i].removed);
    EXPECT_EQ(a[i].object, b[i].object);
    EXPECT_EQ(a[i].version, b[i].version);
  }
}

void ExpectSame(const Message& a, const Message& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.room, b.room);
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.request, b.request);
  EXPECT_EQ(a.stamp, b.stamp);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.peer, b.peer);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.right, b.right);
  EXPECT_EQ(a.content, b.content);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.blind, b.blind);
  EXPECT_EQ(a.got, b.got);
  ASSERT_EQ(a.data == nullptr, b.data == nullptr);
  if (a.data != nullptr) {
    EXPECT_EQ(*a.data, *b.data);
  }
  ASSERT_EQ(a.report == nullptr, b.report == nullptr);
  if (a.report != nullptr) ExpectSame(*a.report, *b.report);
  ASSERT_EQ(a.changes == nullptr, b.changes == nullptr);
  if (a.changes != nullptr) ExpectSame(*a.changes, *b.changes);
}

Message PutOf(size_t bytes) {
  Message message{.kind = Kind::kPut, .epoch = 1};
  message.data = std::make_shared<ByteVector>(bytes, std::byte{7});
  return message;
}

ByteVector Encoded(const Message& message) {
  ByteVector bytes;
  EncodeMessage(message, &bytes);
  return bytes;
}

// Changes one byte and tells what the decoder says.
std::string ErrorWith(ByteVector bytes, size_t at, uint8_t value) {
  bytes.at(at) = std::byte{value};
  const absl::StatusOr<Decoded> decoded = DecodeMessage(bytes);
  return decoded.ok()
             ? ""
             : std::string(decoded.status().message().data(), decoded.status().message().size());
}

TEST(Wire, Gives_every_message_back_as_it_was) {
  base::Prng prng(1);
  ByteVector bytes;
  for (int i = 0; i < 3000; ++i) {
    const Message message = RandomMessage(prng);
    EncodeMessage(message, &bytes);
    absl::StatusOr<Decoded> decoded = DecodeMessage(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ASSERT_EQ(decoded->detached_bytes != 0, SendsDetached(message));
    if (SendsDetached(message)) {
      EXPECT_EQ(bytes.size(), kWireHeaderBytes);
      ASSERT_TRUE(AttachValue(*message.data, &*decoded).ok());
    } else {
      EXPECT_EQ(bytes.size(), WireBytes(message));
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSame(message, decoded->message));
  }
}

TEST(Wire, Lays_the_header_out_as_the_page_says) {
  Message message{.kind = Kind::kRead, .epoch = 0x01020304};
  message.key = {.object = 0x1112131415161718, .set = 0x21222324};
  message.request = 0x31;
  message.peer = 0x0102;
  message.blind = true;
  message.room = 0x11;
  const ByteVector bytes = Encoded(message);
  ASSERT_EQ(bytes.size(), kWireHeaderBytes);
  auto at = [&bytes](size_t i) { return static_cast<int>(bytes[i]); };
  EXPECT_EQ(at(0), kWireLayout);
  EXPECT_EQ(at(1), 1);  // kRead
  EXPECT_EQ(at(6), 1);  // blind
  EXPECT_EQ(at(7), 0x11);
  EXPECT_EQ(at(8), 0x04);  // the lowest byte first
  EXPECT_EQ(at(12), 0x24);
  EXPECT_EQ(at(16), 0x18);
  EXPECT_EQ(at(24), 0x31);
  EXPECT_EQ(at(48), 0x02);
  EXPECT_EQ(at(52), 0);
}

TEST(Wire, A_digest_of_room_never_denies_what_fits) {
  for (size_t room = 0; room < 5000; ++room) {
    for (size_t bytes = 1; bytes <= room; bytes = 2 * bytes + 1) {
      EXPECT_TRUE(MayFit(RoomDigest(room), bytes)) << bytes << " in " << room;
    }
    EXPECT_FALSE(MayFit(RoomDigest(room), 2 * room + 1)) << room;
  }
  EXPECT_TRUE(MayFit(RoomDigest(SIZE_MAX), SIZE_MAX));
  EXPECT_TRUE(MayFit(0, SIZE_MAX)) << "nothing is known";
}

TEST(Wire, Refuses_values_out_of_range_and_says_which) {
  const ByteVector read = Encoded({.kind = Kind::kRead, .epoch = 1});
  EXPECT_EQ(ErrorWith(read, 0, kWireLayout), "");
  EXPECT_EQ(ErrorWith(read, 0, 9), "a message of layout 9");
  EXPECT_EQ(ErrorWith(read, 1, 0), "a kind 0");
  EXPECT_EQ(ErrorWith(read, 1, 200), "a kind 200");
  EXPECT_EQ(ErrorWith(read, 2, 9), "a status 9");
  EXPECT_EQ(ErrorWith(read, 3, 3), "a right 3");
  EXPECT_EQ(ErrorWith(read, 4, 3), "a content 3");
  EXPECT_EQ(ErrorWith(read, 5, 1), "a mode 1");
  EXPECT_EQ(ErrorWith(read, 6, 128), "flags 128");
  EXPECT_EQ(ErrorWith(read, 7, kRoomDigestMax), "");
  EXPECT_NE(ErrorWith(read, 7, kRoomDigestMax + 1), "");
  EXPECT_EQ(ErrorWith(read, 8, 0), "an epoch 0");
  EXPECT_NE(ErrorWith(read, 15, 0x30), "");  // a placement that there is not
  EXPECT_NE(ErrorWith(read, 49, 0xff), "");  // a node that there is not
  EXPECT_NE(ErrorWith(read, 50, 1), "");
  EXPECT_NE(ErrorWith(read, 52, 1), "");  // bytes of a value that it does not have
  EXPECT_EQ(ErrorWith(Encoded({.kind = Kind::kInv, .epoch = 1, .mode = 2}), 5, 3), "a mode 3");
}

TEST(Wire, Refuses_a_report_without_a_body_and_a_body_without_a_report) {
  const ByteVector read = Encoded({.kind = Kind::kRead, .epoch = 1});
  EXPECT_NE(ErrorWith(read, 1, static_cast<uint8_t>(Kind::kReport)), "");
  EXPECT_NE(ErrorWith(read, 1, static_cast<uint8_t>(Kind::kSettled)), "");
  Message report{.kind = Kind::kReport, .epoch = 1};
  report.report = std::make_shared<Report>();
  EXPECT_NE(ErrorWith(Encoded(report), 1, static_cast<uint8_t>(Kind::kRead)), "");
}

TEST(Wire, Refuses_changes_without_a_body_and_more_of_them_than_the_limit) {
  Message message{.kind = Kind::kChanged, .epoch = 1};
  EXPECT_FALSE(DecodeMessage(Encoded(message)).ok());
  auto changes = std::make_shared<Changes>(1);
  message.changes = changes;
  EXPECT_TRUE(DecodeMessage(Encoded(message)).ok());
  EXPECT_EQ(ErrorWith(Encoded(message), kWireHeaderBytes + 24, 4), "a change's flags 4");
  EXPECT_NE(ErrorWith(Encoded(message), 1, static_cast<uint8_t>(Kind::kRead)), "");
  changes->resize(kChangesMax);
  EXPECT_TRUE(DecodeMessage(Encoded(message)).ok());
  changes->resize(kChangesMax + 1);
  EXPECT_FALSE(DecodeMessage(Encoded(message)).ok());
}

TEST(Wire, Refuses_a_report_that_counts_more_than_it_has) {
  Message message{.kind = Kind::kReport, .epoch = 1};
  auto report = std::make_shared<Report>();
  report->entries.resize(2);
  report->doubts.resize(2);
  message.report = report;
  const ByteVector bytes = Encoded(message);
  EXPECT_EQ(ErrorWith(bytes, kWireHeaderBytes, 2), "");
  for (const size_t count_byte : {0, 1, 2, 3, 4, 5, 6, 7}) {
    EXPECT_NE(ErrorWith(bytes, kWireHeaderBytes + count_byte, 255), "") << count_byte;
  }
  const size_t entry = kWireHeaderBytes + kWireReportBytes;
  EXPECT_EQ(ErrorWith(bytes, entry + 30, 8), "a report's role 8");
  EXPECT_EQ(ErrorWith(bytes, entry + 31, 3), "a report's content 3");
  EXPECT_EQ(ErrorWith(bytes, entry + 32, 4), "a report's flags 4");
  const size_t doubt = entry + 2 * kWireEntryBytes;
  EXPECT_NE(ErrorWith(bytes, doubt + 1, 255), "");
  EXPECT_EQ(ErrorWith(bytes, doubt + 2, 8), "a doubt 8");
}

TEST(Wire, Refuses_messages_cut_short_anywhere) {
  base::Prng prng(2);
  for (int i = 0; i < 200; ++i) {
    const ByteVector bytes = Encoded(RandomMessage(prng));
    const size_t cut = prng.Below(bytes.size());
    EXPECT_FALSE(DecodeMessage(Bytes(bytes).first(cut)).ok()) << cut << " of " << bytes.size();
    ByteVector longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(DecodeMessage(longer).ok());
  }
}

TEST(Wire, Survives_any_change_of_any_byte) {
  base::Prng prng(3);
  for (int i = 0; i < 20000; ++i) {
    ByteVector bytes = Encoded(RandomMessage(prng));
    for (int changes = 0; changes < 3; ++changes) {
      bytes[prng.Below(std::min<size_t>(bytes.size(), 200))] = static_cast<std::byte>(prng.Next());
    }
    const absl::StatusOr<Decoded> decoded = DecodeMessage(bytes);
    if (!decoded.ok()) continue;
    EXPECT_LE(decoded->detached_bytes, kObjectBytesMax);
  }
}

TEST(Wire, Sends_a_large_value_behind_its_header) {
  EXPECT_FALSE(SendsDetached(PutOf(kDetachedBytesMin - 1)));
  const Message large = PutOf(kDetachedBytesMin);
  EXPECT_TRUE(SendsDetached(large));
  EXPECT_EQ(LaneOf(large), Lane::kBulk);
  absl::StatusOr<Decoded> decoded = DecodeMessage(Encoded(large));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->detached_bytes, kDetachedBytesMin);
  EXPECT_FALSE(AttachValue(Bytes(*large.data).first(kDetachedBytesMin - 1), &*decoded).ok());
  ASSERT_TRUE(AttachValue(*large.data, &*decoded).ok());
  EXPECT_EQ(*decoded->message.data, *large.data);
  EXPECT_FALSE(AttachValue(*large.data, &*decoded).ok()) << "twice";
}

TEST(Wire, Refuses_to_be_announced_more_than_an_object) {
  const ByteVector bytes = Encoded(PutOf(kDetachedBytesMin));
  EXPECT_EQ(ErrorWith(bytes, 54, 0x10), "a value of bytes 1064960");
  EXPECT_NE(ErrorWith(bytes, 53, 0), "") << "too small to be sent detached";
}

}  // namespace
}  // namespace clustix::kddm
