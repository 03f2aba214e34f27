// SPDX-License-Identifier: Apache-2.0
//
// The view that object sets live in, on this node: runs the agreement on views (lib/member) over
// the messenger and the loop's clock, tells the driver what is agreed, and the log and the user how
// it stands.
//
// Before its first view a node is joining. From then on it is in, for as long as it lives: a view
// changes only to take back others that have restarted. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_VIEW_KEEPER_H_
#define CLUSTIX_DAEMON_OBJECTS_VIEW_KEEPER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clustix/messenger.h"
#include "lib/base/log_limiter.h"
#include "lib/io/io.h"
#include "lib/member/agreement.h"

namespace clustix::daemon {

class ViewKeeper {
 public:
  struct Options {
    std::vector<NodeId> nodes;  // all that are configured
    member::Life life = 0;
    // Until whatever the daemon that ran here before has promised programs is over.
    uint64_t predecessor_ms = 0;
  };
  struct Hooks {
    std::function<void(NodeId, Bytes)> send;             // on kPortObjectView
    std::function<void(NodeId)> peer_began;              // what it said before does not count
    std::function<void(const member::View&)> installed;  // holds from now on
  };

  // The messenger must live until Stop().
  ViewKeeper(io::Loop& loop, Messenger& messenger, const Options& options, Hooks hooks);
  // Calls hooks, now and later.
  void Start();
  void Stop();
  void OnPeerEvent(NodeId peer, PeerEvent event);

  // False: joining.
  bool IsIn() const { return epoch() != 0; }
  uint32_t epoch() const { return agreement_.installed().epoch; }
  // The members of every view.
  const std::vector<NodeId>& nodes() const { return agreement_.nodes(); }
  // Whether what is sent to the peer reaches a member.
  bool IsIn(NodeId peer) const { return agreement_.IsIn(peer); }
  // Nodes that are not in, this one included.
  size_t out() const { return agreement_.out(); }
  // How it stands, in words; for errors and the log.
  std::string Explain() const { return agreement_.Explain(); }

 private:
  void OnMessage(const Incoming& incoming);
  // Does what the agreement wants. Last call of every event.
  void Flush();
  void Install(const member::View& view);
  void RepeatLater();

  io::Loop& loop_;
  Messenger* messenger_;  // nullptr: stopped
  const Options options_;
  const Hooks hooks_;
  member::Agreement agreement_;
  base::LogLimiter log_limiter_;
  bool repeats_ = false;  // a timer is set
  // Timers run after this is gone, if the loop still turns: they look here first.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_VIEW_KEEPER_H_
