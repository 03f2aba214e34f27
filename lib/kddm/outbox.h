// SPDX-License-Identifier: Apache-2.0
//
// What an engine wants done. Whoever feeds it an event empties the outbox afterwards. Plain values.
#ifndef CLUSTIX_LIB_KDDM_OUTBOX_H_
#define CLUSTIX_LIB_KDDM_OUTBOX_H_

#include <vector>

#include "lib/kddm/ids.h"
#include "lib/kddm/message.h"

namespace clustix::kddm {

// How an operation ended; of a grab, or a get that holds: that its hold has begun.
struct Completion {
  OpId op = 0;
  Status status = Status::kOk;
  Content content = Content::kAbsent;
  Version version = 0;
  Data data = nullptr;
};

// A message to another node.
struct Sending {
  NodeId to = kNoNode;
  Message message;
};

// Somebody waits for the holds of an object to end. After the maximum hold of the driver's choice,
// Engine::ExpireHolds() with the same token ends those that are still there.
struct HoldTimer {
  ObjectKey key = {};
  uint64_t token = 0;
};

// Work for the set's IO linker. Answered by Engine::LinkerDone() with the same key and token.
struct LinkerWork {
  // kSync: all that it was told of the object so far is to outlast its node.
  enum class What : uint8_t { kImport, kExport, kRemove, kSync };
  What what = What::kImport;
  ObjectKey key = {};
  uint64_t token = 0;
  Version version = 0;
  Data data = nullptr;
};

// A node asks its object's home, which is this node, for the right to write.
struct WriteAsked {
  ObjectKey key = {};
  NodeId by = kNoNode;
};

struct Outbox {
  std::vector<Sending> sendings;
  std::vector<Completion> completions;
  std::vector<HoldTimer> hold_timers;
  std::vector<LinkerWork> linker_works;
  // Holds that ended by force: their puts will fail with kRevoked.
  std::vector<OpId> revoked;
  std::vector<WriteAsked> writes_asked;
  // Of watches of this node, in the order in which it was told. See Engine::Watch().
  Changes changes;

  bool empty() const {
    return sendings.empty() && completions.empty() && hold_timers.empty() && linker_works.empty() &&
           revoked.empty() && writes_asked.empty() && changes.empty();
  }
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_OUTBOX_H_
