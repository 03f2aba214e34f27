// SPDX-License-Identifier: Apache-2.0
//
// What nodes agree on. Plain values; any thread.
#ifndef CLUSTIX_LIB_MEMBER_VIEW_H_
#define CLUSTIX_LIB_MEMBER_VIEW_H_

#include <cstdint>
#include <vector>

#include "clustix/messenger.h"

namespace clustix::member {

struct View {
  uint32_t epoch = 0;
  std::vector<NodeId> members;  // ascending
};

// One run of a daemon: a random number, drawn when it starts. 0: none is known.
using Life = uint64_t;

struct Member {
  NodeId node = 0;
  Life life = 0;
  friend bool operator==(const Member&, const Member&) = default;
};

// A view that tells as well who its members were: a node that restarts is not the one that it was.
struct AgreedView {
  uint32_t epoch = 0;           // 0: there is no view
  std::vector<Member> members;  // by ascending node

  Life LifeOf(NodeId node) const;  // 0: not a member
  friend bool operator==(const AgreedView&, const AgreedView&) = default;
};

}  // namespace clustix::member

#endif  // CLUSTIX_LIB_MEMBER_VIEW_H_
