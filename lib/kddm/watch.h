// SPDX-License-Identifier: Apache-2.0
//
// What this node watches: which other nodes are to tell it of commits, and whether they know.
//
// A commit is told by the node where it happens. That is the object's home, but of a volatile
// object it is whoever has it exclusively, and the objects of a range have many homes. So one
// object that is committed at its home is watched there, and all else at every member.
//
// What a home or a member that left had to tell may be lost with it, and a new one knows of no
// watch. The watch is then told to those that came, and when they know it, the user hears once that
// anything of the range may have changed: by then nothing that follows is missed.
//
// One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_WATCH_H_
#define CLUSTIX_LIB_KDDM_WATCH_H_

#include <cstddef>
#include <map>
#include <set>

#include "lib/kddm/context.h"
#include "lib/kddm/home_map.h"
#include "lib/kddm/ids.h"
#include "lib/kddm/message.h"

namespace clustix::kddm {

class Watches {
 public:
  explicit Watches(Context& context) : context_(context) {}

  // See Engine::Watch(), Unwatch() and Cancel(). Before the first view a watch waits for it.
  void Start(OpId id, const WatchRange& range);
  void Stop(OpId id);
  // False: there is no such watch.
  bool Cancel(OpId id);
  void CutOff();

  // A view was installed; `before` is the map of homes until then.
  void InstallView(const HomeMap& before);
  void OnWatchAck(NodeId from, const Message& message);
  void OnChanged(NodeId from, const Message& message);

  size_t size() const { return watches_.size(); }

 private:
  struct Watch {
    WatchRange range;
    NodeId home = kNoNode;     // the one that tells; kNoNode: all members do
    std::set<NodeId> waiting;  // have not said that they know of it
    bool begun = false;        // the user has been told so
    bool stale = false;        // something may have been missed
  };

  void Tell(OpId id, Watch& watch, NodeId node);
  void Untell(OpId id, const Watch& watch);
  void FollowHome(OpId id, Watch& watch);
  void FollowMembers(OpId id, Watch& watch, const HomeMap& before);
  void AdvanceIfKnown(OpId id, Watch& watch);

  Context& context_;
  std::map<OpId, Watch> watches_;
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_WATCH_H_
