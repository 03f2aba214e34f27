// SPDX-License-Identifier: Apache-2.0
//
// Who is to be told of commits that happen at this node: as home of an object, or having a volatile
// one exclusively. What other nodes do with it stands in watch.h.
//
// Never does a commit wait for this. At most one message to a node is unanswered; what is committed
// meanwhile goes with the next one, an object once, with its last version. Of a watch for which too
// many objects would be named, the node is told that any may have changed. So what is kept for a
// node is bounded by the number of its watches. A commit costs a look at the range watches of its
// set.
//
// One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_WATCHERS_H_
#define CLUSTIX_LIB_KDDM_WATCHERS_H_

#include <cstddef>
#include <map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/kddm/context.h"
#include "lib/kddm/ids.h"
#include "lib/kddm/message.h"

namespace clustix::kddm {

class Watchers {
 public:
  explicit Watchers(Context& context) : context_(context) {}

  void OnWatch(NodeId from, const Message& message);
  void OnUnwatch(NodeId from, const Message& message);
  void OnChangedAck(NodeId from);
  // Forgets who is not a member any more.
  void InstallView();
  // Tells of Context::changed. After every event.
  void Tell();

  // Whether somebody is to be told of commits of the object.
  bool Covers(const ObjectKey& key) const;
  uint64_t begun() const { return begun_; }  // watches of all nodes, ever
  size_t size() const;                       // and now
  size_t untold() const;  // changes that are kept for nodes that have not answered

 private:
  // A watch of another node.
  struct Watcher {
    NodeId node = kNoNode;
    OpId watch = 0;
    WatchRange range;
  };
  // What is to be told of a watch.
  struct News {
    bool any = false;
    Changes changes;  // if not `any`: an object once, at most kWatchObjectsMax
  };
  struct Node {
    std::map<OpId, WatchRange> watches;
    std::map<OpId, News> news;  // by watch
    OpId last = 0;              // watch that it was told of
    bool unanswered = false;
  };
  struct Set {
    absl::flat_hash_map<ObjectId, std::vector<Watcher>> objects;  // never walked
    std::vector<Watcher> ranges;
  };

  void Erase(NodeId node, OpId watch, const WatchRange& range);
  void Add(const Watcher& watcher, const Changed& changed);
  void Send(NodeId to, Node& node);

  Context& context_;
  std::map<NodeId, Node> nodes_;
  std::map<SetId, Set> sets_;
  uint64_t begun_ = 0;
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_WATCHERS_H_
