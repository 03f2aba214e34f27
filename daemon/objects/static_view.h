// SPDX-License-Identifier: Apache-2.0
//
// The view that object sets live in, as long as no view is agreed on: all configured nodes, from
// the moment on when each of them has met each other, and never anything else.
//
//   joining  Each node says hello to each other with the number of its life (the daemon's
//            incarnation). Who is joining as well writes that number down and welcomes it. When a
//            node knows the numbers of all others and all have welcomed it, it is
//   in       the view. From now on a peer is the one that was met. One that has restarted meanwhile
//            has forgotten what the others think that it holds, so it is not taken back: its hello
//            is answered with "out", and what it says about objects is dropped. It is then
//   out      itself, and says so to whoever asks; until the daemons of the cluster are restarted.
//
// A node is in only when all others know the number of its life, so none of them can take a
// successor of it for itself. Messages are three numbers, little endian: what (u64), the sender's
// life and the receiver's, as far as the sender knows it. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_STATIC_VIEW_H_
#define CLUSTIX_DAEMON_OBJECTS_STATIC_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "clustix/messenger.h"
#include "lib/member/node_table.h"

namespace clustix::daemon {

class StaticView {
 public:
  enum class State : uint8_t { kJoining, kIn, kOut };
  struct Hooks {
    std::function<void(NodeId, Bytes)> send;  // on kPortObjectView
    std::function<void()> in;                 // the view holds from now on
    std::function<void(NodeId)> peer_left;    // it restarted, and is out
    std::function<void(NodeId)> peer_began;   // joining: what it said before does not count
    std::function<void()> out;                // this node is out
  };

  // The messenger must live until Stop().
  StaticView(Messenger& messenger, member::View view, uint64_t incarnation, Hooks hooks);
  // Meets the others; in at once if there are none. Calls hooks, now and later.
  void Start();
  void Stop();
  void OnPeerEvent(NodeId peer, PeerEvent event);

  State state() const { return state_; }
  const member::View& view() const { return view_; }
  // Whether what the peer says about objects counts.
  bool IsIn(NodeId peer) const;
  // Nodes that have fallen out of it, this one included.
  size_t out() const;
  // How it stands, in words; for errors and the log.
  std::string Explain() const;

 private:
  enum class What : uint64_t { kHello = 1, kWelcome, kOut };
  struct Peer {
    uint64_t life = 0;  // 0: not met
    bool welcomed_us = false;
    bool out = false;
  };

  void Say(NodeId to, What what, uint64_t your_life);
  void OnMessage(const Incoming& incoming);
  void OnHello(NodeId from, uint64_t life);
  void Leave(NodeId peer);
  void GoInIfAllMet();

  Messenger* messenger_;  // nullptr: stopped
  const member::View view_;
  const NodeId self_;
  const uint64_t incarnation_;
  const Hooks hooks_;
  State state_ = State::kJoining;
  std::map<NodeId, Peer> peers_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_STATIC_VIEW_H_
