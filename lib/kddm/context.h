// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of an engine share: who this node is, the map of homes, and the way out.
// One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_CONTEXT_H_
#define CLUSTIX_LIB_KDDM_CONTEXT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "lib/kddm/home_map.h"
#include "lib/kddm/limits.h"
#include "lib/kddm/outbox.h"
#include "lib/kddm/store.h"

namespace clustix::kddm {

// A commit that may be watched.
struct Changed {
  ObjectKey key = {};
  Version version = 0;
  bool removed = false;
};

struct Context {
  Context(NodeId self_id, size_t hash_buckets, size_t placed_nodes, const Store& its_store)
      : self(self_id), store(its_store), homes(hash_buckets, placed_nodes) {}

  const NodeId self;
  const Store& store;
  HomeMap homes;
  bool all_settled = false;  // every member has told so in this view
  Outbox out;
  std::deque<Message> loopback;  // to itself: handled before the event is over
  bool watched = false;          // somebody is to be told of commits of this node
  std::vector<Changed> changed;  // who is told before the event is over
  // By node, as the last message told: see RoomDigest().
  std::vector<uint8_t> rooms = std::vector<uint8_t>(kNodesMax + 1);

  // Whether the member may have room for so many bytes, as far as this node knows.
  bool MayHaveRoom(NodeId node, size_t bytes) const { return MayFit(rooms[node], bytes); }

  // Others may see the value from here on.
  void NoteChange(const ObjectKey& key, Version version, bool removed) {
    if (watched) changed.push_back({.key = key, .version = version, .removed = removed});
  }

  // To a node that is not a member it goes nowhere: the view change has dealt with it.
  void Send(NodeId to, Message message) {
    message.epoch = homes.epoch();
    message.room = RoomDigest(store.Room());
    if (to == self) {
      loopback.push_back(std::move(message));
    } else if (homes.IsMember(to)) {
      out.sendings.push_back({.to = to, .message = std::move(message)});
    }
  }
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_CONTEXT_H_
