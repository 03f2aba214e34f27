// SPDX-License-Identifier: Apache-2.0
//
// Every limit of the coherence engine.
#ifndef CLUSTIX_LIB_KDDM_LIMITS_H_
#define CLUSTIX_LIB_KDDM_LIMITS_H_

#include <cstddef>

namespace clustix::kddm {

inline constexpr size_t kObjectBytesMax = 1u << 20;  // and at least one byte
inline constexpr size_t kHashBuckets = 4096;
inline constexpr size_t kNodesMax = 1024;       // what the home map is sized for; ids are below it
inline constexpr size_t kPlacedNodes = 511;     // nodes that objects can be placed at
inline constexpr size_t kCopiesMax = 3;         // that a set can ask for
inline constexpr size_t kYieldsMax = 4;         // copies that a node asks to be rid of at once
inline constexpr size_t kYieldChances = 2;      // members without room that are asked to take one
inline constexpr size_t kYieldScan = 64;        // copies looked at for one to be rid of
inline constexpr size_t kTombstones = 1024;     // removed objects that a home remembers
inline constexpr size_t kWatchesMax = 4096;     // of a node
inline constexpr size_t kWatchObjectsMax = 16;  // told one by one of a watch, while it is not heard
inline constexpr size_t kChangesMax = 1024;     // in one message
inline constexpr size_t kSmallBytes = 4096;     // data up to here travels on the control lane

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_LIMITS_H_
