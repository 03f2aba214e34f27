// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of an engine share: who this node is, the map of homes, and the way out.
// One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_CONTEXT_H_
#define CLUSTIX_LIB_KDDM_CONTEXT_H_

#include <deque>
#include <utility>

#include "lib/kddm/home_map.h"
#include "lib/kddm/outbox.h"

namespace clustix::kddm {

struct Context {
  Context(NodeId self_id, size_t hash_buckets, size_t placed_nodes)
      : self(self_id), homes(hash_buckets, placed_nodes) {}

  const NodeId self;
  HomeMap homes;
  bool all_settled = false;  // every member has told so in this view
  Outbox out;
  std::deque<Message> loopback;  // to itself: handled before the event is over

  // To a node that is not a member it goes nowhere: the view change has dealt with it.
  void Send(NodeId to, Message message) {
    message.epoch = homes.epoch();
    if (to == self) {
      loopback.push_back(std::move(message));
    } else if (homes.IsMember(to)) {
      out.sendings.push_back({.to = to, .message = std::move(message)});
    }
  }
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_CONTEXT_H_
