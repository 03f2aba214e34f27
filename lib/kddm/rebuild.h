// SPDX-License-Identifier: Apache-2.0
//
// How a new home concludes from what the members report what became of an object. A pure function:
// the rules of docs/KDDM.md, "Rebuilding", in one place. Any thread.
#ifndef CLUSTIX_LIB_KDDM_REBUILD_H_
#define CLUSTIX_LIB_KDDM_REBUILD_H_

#include <functional>
#include <vector>

#include "lib/kddm/ids.h"
#include "lib/kddm/message.h"

namespace clustix::kddm {

struct NodeReport {
  NodeId node = kNoNode;
  ReportEntry entry;
};

struct Rebuilt {
  Content content = Content::kAbsent;
  Version version = 0;
  NodeId owner = kNoNode;  // has it exclusively; kNoNode: nobody does
  // The owner is putting, and nothing says that its commit has not happened: what it started from
  // may not be current any more. If the owner fails as well, its value must not be taken for it.
  bool unproven = false;
  bool removing = false;        // unproven: the commit is a removal
  std::vector<NodeId> readers;  // hold the current value, readable
  std::vector<NodeId> holders;  // hold the current value, unread
  // Is still asking for the commit that made the current value, and so has its bytes.
  NodeId writer = kNoNode;
  std::vector<NodeId> leftover;  // hold something that is to be dropped
};

// `reports`: all that live members said of one object; at least one. `is_member`: has been
// a member since they said it.
Rebuilt Rebuild(const std::vector<NodeReport>& reports,
                const std::function<bool(NodeId)>& is_member);

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_REBUILD_H_
