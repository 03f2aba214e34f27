// SPDX-License-Identifier: Apache-2.0
//
// What a node holds of an object, and what goes on there with it. Plain values.
#ifndef CLUSTIX_LIB_KDDM_COPY_H_
#define CLUSTIX_LIB_KDDM_COPY_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "lib/kddm/ids.h"
#include "lib/kddm/message.h"

namespace clustix::kddm {

enum class State : uint8_t {
  kInvalid = 0,  // not to be read; a value that is there is held for the home
  kShared,       // readable and current
  kExclusive,    // the only readable copy in the cluster
};

// Of an object that is here in any form, or that something goes on with.
struct Copy {
  ObjectKey key = {};
  Version version = 0;  // of the value; it is in the store if content is kData
  Stamp stamp = 0;      // of the last thing that the home said about this copy
  State state = State::kInvalid;
  Content content = Content::kAbsent;  // kAbsent and kLost say something in kExclusive alone
  bool active = false;                 // there is an Activity
  // Only this node has a use for the copy: no home counts on it.
  bool clean = false;
  bool recent = false;       // clean: used since MakeRoom() came by last
  NodeId grantee = kNoNode;  // held for the case that the grant to this node is lost
};
static_assert(sizeof(Copy) == 40);

enum class OpKind : uint8_t {
  kGet,     // read; with `hold`, nobody writes until Release()
  kGrab,    // exclusive until Put() or Release()
  kSet,     // write, whatever was there
  kTouch,   // read, and make the object of `data` if there is none
  kRemove,  // no such object any more; not an error if there is none
  kFind,    // read if a readable copy is here; never asks anybody
  kSync,    // see to it that the linker keeps what was committed, whatever happens to its node
};

struct Operation {
  OpId id = 0;
  OpKind kind = OpKind::kGet;
  ObjectKey key = {};
  bool hold = false;    // kGet
  Data data = nullptr;  // kSet, kTouch
};

// The one request that a node has under way for an object.
struct Pending {
  RequestId id = 0;  // 0: none
  Kind kind = Kind::kRead;
  OpId op = 0;  // whom it is for; 0: nobody any more
  bool blind = false;
  Version version = 0;  // kPut: of `data`
  Data data = nullptr;  // kPut; nullptr: no object any more
};

// What the home wants of this copy, while it cannot be honoured yet.
struct Demand {
  enum class Kind : uint8_t { kNone = 0, kInv, kRecall };
  Kind kind = Kind::kNone;
  uint8_t mode = 0;   // InvMode or RecallMode
  bool told = false;  // kInv: answered for now; a grant that is on its way will need it again
  NodeId peer = kNoNode;
  NodeId from = kNoNode;
  RequestId request = 0;  // of `peer`
  Stamp stamp = 0;
};

struct Activity {
  std::deque<Operation> waiting;
  std::vector<OpId> readers;  // holds
  OpId writer = 0;            // a grab; 0: none
  Pending pending;
  Demand demand;
  bool tenure = false;       // a grant came that nobody has used yet
  uint64_t timer_token = 0;  // of the hold timer that runs; 0: none

  // Somebody wants more of the object than its holds allow.
  bool awaited() const { return demand.kind != Demand::Kind::kNone || !waiting.empty(); }
  bool idle() const {
    return waiting.empty() && readers.empty() && writer == 0 && pending.id == 0 &&
           demand.kind == Demand::Kind::kNone;
  }
};

inline bool IsYielding(const Activity& activity) {
  return activity.pending.id != 0 && activity.pending.kind == Kind::kYield;
}
inline bool IsPutting(const Activity& activity) {
  return activity.pending.id != 0 && activity.pending.kind == Kind::kPut;
}

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_COPY_H_
