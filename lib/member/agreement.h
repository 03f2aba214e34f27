// SPDX-License-Identifier: Apache-2.0
//
// How daemons agree on views: who is a member from when on, and in which life.
//
// A view is all configured nodes, each in the life that it is in. When one has restarted, the next
// view takes it back, and all nodes have to agree on that, not just a majority of them. So no view
// ever holds that any node might contradict, and neither lease nor log is needed for it. The price
// is that the view stays as it is for as long as one node is away.
//
//   hello    Nodes tell each other their lives. One has met another when it has heard that the
//            other knows its life; from then on what it sends reaches that life, or nobody.
//   propose  The node with the lowest id, the proposer, has met all, and one has another life than
//            in the view that holds, the base (or there is none): it proposes the next view. There
//            is no need for anybody to stand in for it, since nothing is agreed without it.
//   accept   A node accepts what names itself and all others in the lives that it has met them in.
//            If it does not have the base yet, it installs that first.
//   install  All have accepted: the proposal is decided. The proposer installs it and says so, and
//            who hears that installs it, too.
//
// Nodes that live never differ. Each has installed a part of one sequence of views, from the one
// that it came with on without a gap, because
// 1. One life of the proposer has one proposal at a time. It makes another one, when somebody has
//    restarted meanwhile, only in place of one that is not decided, and then never decides that.
//    What it decides has the view that it decided before as its base.
// 2. Whoever says hello to a new life of the proposer has forgotten what its former life proposed,
//    and nothing of that life arrives any more. So once the new one has heard all, no view is
//    installed any more but by its own doing. The highest one that it has heard of is the former
//    life's last decision, if anybody who lives knows of it, and becomes the base. Who does not
//    have it has accepted it, and so has the one before: it is behind by this one only, which comes
//    with the proposal. Nobody accepts a proposal whose base is not what it has itself then.
// 3. What a node accepted before it restarted is forgotten, and need not be known. An acceptance is
//    that of a life, which the proposal names. If a proposal is decided although a life that it
//    names is over, then that life had accepted it: as if it had ended just after. Its successor
//    is in no proposal but later ones, which have that view as their base.
//
// A view that takes nodes back follows one without them, which is part of the same decision: who
// has gone on installs both, who is new the second one only. That is how lib/kddm learns that what
// a node held in its former life is gone. Epochs that were proposed to anybody who lives, and maybe
// installed by somebody who does not any more, are not used again, so that what was sent in them is
// told from what counts; if nobody who lives has installed a view, the first one has epoch 1.
//
// A restarted node holds back its acceptance until whatever its former life has promised programs
// is over (PredecessorEnded): they may still read what it had cached. Not so if there is no base:
// all are new then, and nothing is left that could be written.
//
// Needs of the messenger: what comes from a node comes in the order of its lives. Messages may be
// lost, as when a life ends, and come twice or in another order; Repeat() mends that.
//
// A state machine: no clock, no I/O. One thread at a time.
#ifndef CLUSTIX_LIB_MEMBER_AGREEMENT_H_
#define CLUSTIX_LIB_MEMBER_AGREEMENT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clustix/messenger.h"
#include "lib/member/view.h"
#include "lib/member/view_message.h"

namespace clustix::member {

class Agreement {
 public:
  struct Sending {
    NodeId to = 0;
    ViewMessage message;
  };
  // What is to be done, in this order.
  struct Outbox {
    std::vector<NodeId> began;  // they are in another life: what they said before does not count
    std::vector<Sending> sendings;
    std::vector<View> views;  // that begin to hold here, one after the other

    bool empty() const { return began.empty() && sendings.empty() && views.empty(); }
  };

  // `life` is not 0; `nodes` are all that are configured, this one among them.
  Agreement(NodeId self, Life life, std::vector<NodeId> nodes);

  // Events. What is to be done is in the outbox afterwards.
  void Start();
  void PredecessorEnded();
  // Whether messages to the peer are worth sending.
  void OnReach(NodeId peer, bool reachable);
  void OnMessage(NodeId from, const ViewMessage& message);
  // Says again what may have been lost. To be called now and then while settled() is false.
  void Repeat();

  Outbox TakeOutbox() { return std::exchange(out_, {}); }

  // All that are configured are in the view that holds here, in the lives that they are in.
  bool settled() const;
  const std::vector<NodeId>& nodes() const { return nodes_; }
  const AgreedView& installed() const { return installed_; }
  // Whether the peer is in the view that holds here, as far as this node knows.
  bool IsIn(NodeId peer) const;
  // How many nodes, this one included, are not.
  size_t out() const;
  // How it stands, in words.
  std::string Explain() const;

 private:
  struct Peer {
    Life life = 0;           // 0: never heard
    bool met = false;        // in this life
    bool reachable = false;  // else messages to it would pile up
    // What the proposer has learned.
    AgreedView installed;
    uint32_t highest_epoch = 0;
    uint64_t accepted = 0;  // the number of the last proposal that it accepted
  };

  bool IsProposer() const { return self_ == proposer_; }
  void Say(NodeId to, decltype(ViewMessage::what) what);
  void SayHello(NodeId to);
  void Begin(NodeId node, Peer& peer, Life life);
  void OnHello(NodeId from, Peer& peer, const Hello& hello);
  void OnProposal(const Proposal& proposal);
  void OnInstall(const Install& install);

  void Advance();
  bool HasMetAll() const;
  // Whether the peers that this node knows are those that the view names.
  bool HasMet(const AgreedView& view) const;
  bool MayFollow(const AgreedView& base) const;
  // The proposer.
  void Propose();
  AgreedView HighestInstalled() const;
  void DecideIfAccepted();
  // All others.
  void AcceptIfMet();

  void InstallView(const AgreedView& view);

  const NodeId self_;
  const Life life_;
  const std::vector<NodeId> nodes_;  // ascending
  const NodeId proposer_;
  std::map<NodeId, Peer> peers_;
  AgreedView installed_;
  uint32_t highest_epoch_ = 0;  // that was accepted
  bool predecessor_ended_ = false;

  // The proposer: what it has proposed and not decided, ...
  std::optional<Proposal> open_;
  uint64_t last_number_ = 0;              // ... how many there were, ...
  uint64_t decided_number_ = 0;           // ... and which one is installed.
  std::optional<uint32_t> former_epoch_;  // the highest of its former lives

  // All others: what they have been proposed, and may accept when they have met all that it names;
  // and what they have accepted, of which they do not know whether it is decided.
  std::optional<Proposal> offered_, accepted_;
  uint64_t last_accepted_ = 0;
  bool other_nodes_ = false;  // the proposer is configured with others
  Outbox out_;
};

}  // namespace clustix::member

#endif  // CLUSTIX_LIB_MEMBER_AGREEMENT_H_
