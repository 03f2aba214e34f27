// SPDX-License-Identifier: Apache-2.0
#include "lib/member/view.h"

#include <algorithm>

namespace clustix::member {

Life AgreedView::LifeOf(NodeId node) const {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [node](const Member& member) { return member.node == node; });
  return found == members.end() ? 0 : found->life;
}

}  // namespace clustix::member
