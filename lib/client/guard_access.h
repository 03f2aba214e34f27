// SPDX-License-Identifier: Apache-2.0
//
// What the public classes of clustix/sets.h hold, for the files that fill them in. Threads as
// there.
#ifndef CLUSTIX_LIB_CLIENT_GUARD_ACCESS_H_
#define CLUSTIX_LIB_CLIENT_GUARD_ACCESS_H_

#include <memory>
#include <span>
#include <utility>

#include "clustix/sets.h"
#include "lib/cache/reader.h"

namespace clustix {

class GuardAccess {
 public:
  static CancelState* StateOf(Canceller* canceller) {
    return canceller == nullptr ? nullptr : canceller->state_.get();
  }

  // `guard` is empty.
  static void Fill(cache::Pinned pinned, cache::Reader* reader, ReadGuard* guard) {
    guard->data_ = pinned.data().data();
    guard->bytes_ = static_cast<uint32_t>(pinned.data().size());
    guard->version_ = pinned.object_version();
    guard->slot_ = static_cast<uint8_t>(pinned.Release());
    guard->owner_ = reader;
    guard->outcome_ = SetOutcome::kOk;
  }
  static void FillCopy(std::span<const std::byte> value, uint64_t version, ReadGuard* guard);
  static void Fail(SetOutcome outcome, ReadGuard* guard) { guard->outcome_ = outcome; }

  static WriteGuard FailedGrab(SetOutcome outcome) {
    WriteGuard guard;
    guard.outcome_ = outcome;
    return guard;
  }
  static WriteGuard Grab(const std::shared_ptr<SetHandle>& set, ObjectId id, const Wait& wait);

  static ObjectSet MakeSet(std::shared_ptr<SetHandle> handle) {
    return ObjectSet(std::move(handle));
  }
  static Result<Watcher> Watch(const std::shared_ptr<SetHandle>& set, ObjectId first, ObjectId last,
                               WatchCallback callback, const Wait& wait);
};

}  // namespace clustix

#endif  // CLUSTIX_LIB_CLIENT_GUARD_ACCESS_H_
