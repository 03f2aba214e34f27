// SPDX-License-Identifier: Apache-2.0
//
// What operations cost in messages, whatever the number of nodes: engines that talk to each other
// in order, and a count of what one operation makes them say. One thread.
#ifndef CLUSTIX_TESTS_SIM_KDDM_MESSAGES_H_
#define CLUSTIX_TESTS_SIM_KDDM_MESSAGES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "clustix/messenger.h"

namespace clustix::sim {

struct MessageCost {
  std::string operation;
  size_t hops = 0;      // one after the other, until the operation ends
  size_t messages = 0;  // in all, until no more follow
  size_t bytes = 0;     // of these, on the wire, with a value of kCostedBytes
  friend bool operator==(const MessageCost&, const MessageCost&) = default;
};
inline constexpr size_t kCostedBytes = 64;

// Of each operation, with so many nodes, at least 3. Memory and time grow with their square, for
// every node tells every other one when the view begins.
std::vector<MessageCost> CostsOf(NodeId nodes);

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_KDDM_MESSAGES_H_
