// SPDX-License-Identifier: Apache-2.0
//
// What the engines of a cluster tell each other. docs/KDDM.md has the protocol. Plain values; any
// thread.
#ifndef CLUSTIX_LIB_KDDM_MESSAGE_H_
#define CLUSTIX_LIB_KDDM_MESSAGE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "clustix/messenger.h"
#include "lib/kddm/ids.h"

namespace clustix::kddm {

enum class Kind : uint8_t {
  // To the home, from a node that wants something. Answered by kReply.
  kRead = 1,  // a shared copy
  kWrite,     // an exclusive one
  kPut,       // commit this value, or that there is none, and give the exclusive copy back
  kSync,      // have the linker keep for good what it was told
  kYield,     // do without the copy that is here: see Home::AdvanceYield()
  // From the home (a grant also from the node that had the object).
  kReply,   // `status`, and the right that comes with it
  kInv,     // give up the copy: see InvMode. Answered by kInvAck
  kRecall,  // give up the exclusive copy: see RecallMode
  kBackup,  // hold this value for the home. Answered by kBackupAck
  kPull,    // send what you hold. Answered by kPulled
  kQuery,   // did the grant of `request` reach you? Answered by kUnblock
  // To the home, from a holder.
  kInvAck,
  kRecallAck,
  kBackupAck,
  kPulled,
  kUnblock,  // a grant has arrived, or (not `got`) never will
  // Between all.
  kReport,   // what the sender holds in the buckets that the receiver is now home of
  kSettled,  // the sender has as many copies of everything as the sets' policies want
  // Watching (see watch.h). `request` names the watch. From a node that watches, to one that
  // commits.
  kWatch,    // tell me of commits in `key.set`, from `key.object` to `stamp`. Answered by kWatchAck
  kUnwatch,  // do not any more
  kChangedAck,  // answers kChanged
  // And back.
  kWatchAck,
  kChanged,  // `changes`; not more than one that is unanswered
  // Moving (see migrations.h). `request` names the operation.
  kMigrate,   // get this object
  kMigrated,  // answers it: `status`
};
const char* KindName(Kind kind);

enum class Status : uint8_t {
  kOk = 0,
  kNotFound,     // there is no such object
  kLost,         // more copies failed than the set's policy covers
  kCancelled,    // given up; nothing has happened
  kUnknown,      // given up while it was under way: it may still happen
  kRevoked,      // the hold lasted too long and has ended; nothing was written
  kNoSpace,      // no node has room
  kBadRequest,   // a size out of range, or a hold that does not exist
  kUnavailable,  // this node is cut off from the cluster
};
const char* StatusName(Status status);

enum class Right : uint8_t { kNone = 0, kShared, kExclusive };

// What is known of an object's value.
enum class Content : uint8_t { kAbsent = 0, kData, kLost };

enum class InvMode : uint8_t {
  kDrop = 0,  // forget it
  kKeep,      // hold it for the home, unread; the next commit will not happen without you
  kDemote,    // hold it, unread, for the case that the grant to `peer` is lost
};

enum class RecallMode : uint8_t {
  kShare = 0,  // keep a shared copy; let `peer` have one
  kTransfer,   // let `peer` have it
  kReturn,     // give it back to the home
};

// What a node tells a new home of one object.
enum class Role : uint8_t {
  kShared = 0,  // readable, hence current
  kExclusive,
  kPutting,   // exclusive until a commit of `version` that is under way
  kBackup,    // held for the home
  kDemoted,   // held for the case that the grant to `grantee` was lost
  kLostMark,  // kept for the home: the object is lost
  kExists,    // of the home before: there is such an object, wherever it is
  kGranted,   // of the home before: `grantee` has it exclusively and has not committed anything
};

struct ReportEntry {
  ObjectKey key = {};
  Version version = 0;
  Role role = Role::kShared;
  Content content = Content::kData;
  NodeId grantee = kNoNode;
  Stamp demoted = 0;           // when the home demoted it
  bool grantee_lives = false;  // and is still who it was then
  bool removing = false;       // kPutting: that there is no value
};

// For which numbers of copies an unknown object of a bucket may be one that was lost: bit n - 1 for
// n copies. See docs/KDDM.md, "Doubt".
using DoubtMask = uint8_t;
inline constexpr DoubtMask kAllDoubt = 7;

struct Doubt {
  Bucket bucket = 0;
  DoubtMask mask = 0;
};

struct Report {
  std::vector<ReportEntry> entries;
  std::vector<Doubt> doubts;  // others: none
  bool fresh = false;         // the sender is new in this view and knows nothing
  // Members lost since all were settled, and how many there were then. kSettled: Home::Shortage().
  size_t failures = 0;
  size_t settled_members = 0;
};

// What a watch covers: the objects from `first` to `last`, both included.
struct WatchRange {
  SetId set = 0;
  ObjectId first = 0, last = 0;

  bool Covers(const ObjectKey& key) const {
    return key.set == set && first <= key.object && key.object <= last;
  }
};

// What a node that watches is told.
struct Change {
  OpId watch = 0;
  bool any = false;      // any object of the range may have changed; the rest says nothing
  bool removed = false;  // there is no such object any more
  ObjectId object = 0;
  Version version = 0;  // that was committed. The higher one is the later
};
using Changes = std::vector<Change>;

struct Message {
  Kind kind = Kind::kRead;
  Epoch epoch = 0;  // of the sender's view
  ObjectKey key = {};
  RequestId request = 0;  // of the requester, also in what is said on its behalf
  // Of the home; kReport: the epoch of the view that it is about; kWatch: the last object.
  Stamp stamp = 0;
  Version version = 0;
  NodeId peer = kNoNode;  // kRecall: who wants it; kInv, kBackup: who is granted it
  Status status = Status::kOk;
  Right right = Right::kNone;
  Content content = Content::kData;
  uint8_t mode = 0;     // InvMode, RecallMode
  bool blind = false;   // kWrite: the old value is of no use
  bool got = false;     // kUnblock, kBackupAck: yes
  uint8_t room = 0;     // of the sender's store: see RoomDigest()
  Data data = nullptr;  // kReply may come without: the copy that is there is current
  std::shared_ptr<const Report> report = nullptr;
  std::shared_ptr<const Changes> changes = nullptr;
};

// How much room there is, in one byte: the number of bits of the bytes, and one. 0: not known.
constexpr uint8_t RoomDigest(size_t bytes) {
  return static_cast<uint8_t>(1 + std::bit_width(uint64_t{bytes}));
}
inline constexpr uint8_t kRoomDigestMax = RoomDigest(SIZE_MAX);
// Whether so many bytes may fit where the digest comes from.
constexpr bool MayFit(uint8_t digest, size_t bytes) {
  return digest == 0 || static_cast<size_t>(std::bit_width(uint64_t{bytes})) < digest;
}

// Bytes of the message on the wire.
size_t WireBytes(const Message& message);
// Small messages go on the control lane in the order they are sent; large ones do not delay it.
Lane LaneOf(const Message& message);

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_MESSAGE_H_
