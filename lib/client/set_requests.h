// SPDX-License-Identifier: Apache-2.0
//
// What a program asks its daemon of the objects of a set, on the ring of its region
// (lib/cache/layout.h): the meaning of cache::Request and cache::Reply. proto/sets.capnp has what
// comes before: attaching, and opening sets. Plain values; any thread.
//
// In a request, `set` is the handle that opening gave, `object` the object's number. Of what stands
// in the staging area, a request names one stretch: bytes that it brings, or room for those that
// the reply is to bring, or both. Each request has one reply; a program may have kRingSlots
// under way, answered in any order.
#ifndef CLUSTIX_LIB_CLIENT_SET_REQUESTS_H_
#define CLUSTIX_LIB_CLIENT_SET_REQUESTS_H_

#include <cstdint>

namespace clustix::client {

// `argument` is, where nothing else stands, the time in ms after which the daemon gives the request
// up; 0: it waits for as long as it takes.
enum class SetRequestKind : uint32_t {
  // A readable copy is to be on this node. The reply brings the value if there is room for it in
  // staging; else, kOk all the same, it is in the arena unless somebody has written since, and the
  // reply's argument says how large it was. Without any room it prefetches.
  kGet = 1,
  // The right to write, until kPut or kRelease. The reply brings the value as kGet's, and in
  // `argument` the hold. kNotFound counts as success: the object may be made by the put. Its
  // hold is then given, too.
  kGrab = 2,
  // `argument` is the hold: the staged bytes are the value, and the hold ends. The reply's argument
  // is the ticket of a loan (lib/cache/lender.h) if the object is this program's from now on, else
  // 0.
  kPut = 3,
  kRelease = 4,  // `argument` is the hold, which ends; nothing is written
  kSet = 5,      // the staged bytes are the value, whatever was there; the reply as kPut's
  kTouch = 6,    // if there is no object, the staged bytes are its value; the reply as kGet's
  kRemove = 7,
  kFind = 8,      // as kGet, but nobody is asked: kNotFound unless a readable copy is here
  kSync = 9,      // of a linked set: the linker has the object's value
  kMigrate = 10,  // the object is to be brought to node `object_version`: kddm::Engine::Migrate
  // Answered when an object from `object` to `argument` (both included) has changed since the last
  // reply to a watch of the same range of this program; the reply's `argument` is the object and
  // its `object_version` what it has now (0: it is removed), or kAnyVersion. What changes often is
  // told once. Waits without a limit, but for the first time: then the reply, with kAnyVersion,
  // says that from now on nothing is missed. A range is forgotten when its last request is
  // cancelled, even if that has been answered.
  kWatch = 11,
  kCancel = 12,  // `argument` is the cookie of a request, which ends with kCancelled or kUnknown
};

// Of a kWatch: any object of the range may have changed, for too many have to be named, or some
// change may have been missed.
inline constexpr uint64_t kAnyVersion = UINT64_MAX;

// `status` of a reply. The values of kddm::Status, and what the daemon adds.
enum class SetReplyStatus : uint32_t {
  kOk = 0,
  kNotFound,
  kLost,
  kCancelled,  // or its time is over; nothing has happened
  kUnknown,    // the same, but it was under way: it may still happen
  kRevoked,
  kNoSpace,
  kBadRequest,
  kUnavailable,
  kDenied,   // the set was opened for reading only
  kRemoved,  // there is no such set any more
};
const char* SetReplyStatusName(SetReplyStatus status);

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_SET_REQUESTS_H_
