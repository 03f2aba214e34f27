// SPDX-License-Identifier: Apache-2.0
//
// Names of things in the coherence engine, and the policy of a set, which its id spells out. Plain
// values; any thread.
#ifndef CLUSTIX_LIB_KDDM_IDS_H_
#define CLUSTIX_LIB_KDDM_IDS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "clustix/messenger.h"

namespace clustix::kddm {

using Epoch = uint32_t;      // of a view; 0: before the first
using SetId = uint32_t;      // see MakeSetId
using ObjectId = uint64_t;   // chosen by the users of a set
using Version = uint64_t;    // of an object's value; grows with each commit
using Stamp = uint64_t;      // orders what a home tells about an object; see Home::NextStamp
using RequestId = uint64_t;  // unique per requesting node while it lives
using OpId = uint64_t;       // chosen by who starts an operation; unique per node, not 0, < kOwnOps
using Bucket = uint16_t;

inline constexpr NodeId kNoNode = 0;
inline constexpr OpId kOwnOps = OpId{1} << 63;  // operations that the engine itself begins
// A stamp is a counter below the epoch in which its home drew it.
inline constexpr unsigned kStampEpochShift = 40;

struct ObjectKey {
  ObjectId object = 0;
  SetId set = 0;
  friend bool operator==(const ObjectKey&, const ObjectKey&) = default;
};

// An object's bytes. Immutable: a commit makes a new value, so that readers of the old one are not
// disturbed. nullptr where there is no value.
using Data = std::shared_ptr<const std::vector<std::byte>>;

// How many failures a set's objects survive.
enum class Durability : uint8_t {
  kVolatile = 0,  // lost with the node that wrote it last
  kReplicas2 = 1,
  kReplicas3 = 2,
  kLinked = 3,  // committed when its IO linker has it
};

// Where the home of an object is.
enum class Placement : uint8_t {
  kHash = 0,     // by the hash of its id, over all members
  kCreator = 1,  // at the node that made the set
  kIdBits = 2,   // at the node in the upper 16 bits of its id
};

// A set's policy is part of its id, so that a node can serve an object of a set that it has never
// heard of: | durability 2 | placement 2 | creator 9 | serial 19 |.
inline constexpr SetId kSetSerialMax = (1u << 19) - 1;
constexpr SetId MakeSetId(Durability durability, Placement placement, NodeId creator,
                          uint32_t serial) {
  return static_cast<SetId>(durability) << 30 | static_cast<SetId>(placement) << 28 |
         (static_cast<SetId>(creator) & 511u) << 19 | (serial & kSetSerialMax);
}
constexpr Durability DurabilityOf(SetId set) { return static_cast<Durability>(set >> 30); }
constexpr Placement PlacementOf(SetId set) { return static_cast<Placement>((set >> 28) & 3u); }
constexpr NodeId CreatorOf(SetId set) { return static_cast<NodeId>((set >> 19) & 511u); }

// Volatile objects live where they were written; all others are committed at their home.
constexpr bool IsVolatile(SetId set) { return DurabilityOf(set) == Durability::kVolatile; }
constexpr bool IsLinked(SetId set) { return DurabilityOf(set) == Durability::kLinked; }

// How many nodes hold a committed value, the home among them, if the view has as many.
constexpr size_t CopiesOf(SetId set) {
  switch (DurabilityOf(set)) {
    case Durability::kReplicas2:
      return 2;
    case Durability::kReplicas3:
      return 3;
    default:
      return 1;
  }
}

inline bool Contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// splitmix64's finalizer: every bit of the input moves every bit of the output.
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
constexpr uint64_t HashKey(const ObjectKey& key) {
  return Mix(key.object + 0x9e3779b97f4a7c15u * (key.set + 1u));
}

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_IDS_H_
