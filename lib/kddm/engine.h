// SPDX-License-Identifier: Apache-2.0
//
// The coherence engine of one node: a state machine that keeps sets of objects coherent across the
// members of a view. docs/KDDM.md has the protocol.
//
// It reads no clock and does no I/O. Events are the public functions below; what is to be done in
// answer is in the outbox afterwards, which the caller empties (TakeOutbox) before the next event.
// An event takes time in proportion to what it causes; a view change, to the objects held.
//
// One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_ENGINE_H_
#define CLUSTIX_LIB_KDDM_ENGINE_H_

#include <deque>
#include <utility>

#include "lib/kddm/context.h"
#include "lib/kddm/copy.h"
#include "lib/kddm/holder.h"
#include "lib/kddm/home.h"
#include "lib/kddm/limits.h"
#include "lib/kddm/migrations.h"
#include "lib/kddm/outbox.h"
#include "lib/kddm/store.h"
#include "lib/kddm/watch.h"
#include "lib/kddm/watchers.h"
#include "lib/member/view.h"

namespace clustix::kddm {

// The same on all nodes of a cluster.
struct EngineConfig {
  size_t hash_buckets = kHashBuckets;
  size_t placed_nodes = kPlacedNodes;
};

class Engine {
 public:
  // The store outlives the engine and starts empty.
  Engine(NodeId self, const EngineConfig& config, Store& store);

  // The next view. A node installs every view from the one that it comes with on, in order; one
  // that restarted, or was cut off, comes back as a new engine, after a view without it.
  void InstallView(const member::View& view);
  // A message of another engine. Per lane, in the order in which they were sent.
  void Deliver(NodeId from, const Message& message);

  // Operations. Each ends with exactly one Completion under its id, at once or later. Before the
  // first view they wait.
  void Start(Operation operation);
  // Ends a grab's hold with a new value. kRevoked: the hold had ended; nothing was written.
  void Put(OpId op, OpId hold, Data data);
  // Ends a hold without a new value.
  void Release(OpId hold);
  // Gives an operation up, for a deadline, say: it completes with kCancelled, or with kUnknown if
  // it may still happen. An operation that has completed, or holds, is not changed.
  void Cancel(OpId op);
  // The time of an Outbox::HoldTimer is over.
  void ExpireHolds(const ObjectKey& key, uint64_t token);
  // Frees memory if less than `bytes` fit: drops copies that no home counts on, and that nobody
  // uses just now. False: less still fit, and homes are asked to do without some of the others.
  bool MakeRoom(size_t bytes);
  // The answer to an Outbox::LinkerWork. `data`: of an import, nullptr if there is no such object;
  // of a removal, not nullptr if the next who asks is to have it imported again.
  void LinkerDone(const ObjectKey& key, uint64_t token, bool ok, const Data& data);
  // Has the object move toward the member `to`, which is about to use it: a volatile object is then
  // exclusively there, of any other a readable copy. kUnavailable: it is not a member, or not any
  // more.
  void Migrate(OpId op, const ObjectKey& key, NodeId to);
  // Watching. The watch is named like an operation, and begins with a Completion under its id: kOk,
  // or kNoSpace (this node has kWatchesMax). From then on Outbox::changes has the commits of its
  // range: of each at least one Change that names the object with that version or a later one, or
  // one with `any`. It comes after the commit, so who reads when it comes sees that commit or a
  // later one. `any` says that changes may have been missed (a view change) or were too many to
  // name.
  void Watch(OpId watch, const WatchRange& range);
  // Ends a watch. Nothing comes of it any more, but what the outbox has already.
  void Unwatch(OpId watch);
  // The node is not in the cluster any more: all operations and watches end. The engine is of no
  // use after.
  void CutOff();

  Outbox TakeOutbox() { return std::exchange(context_.out, {}); }

  NodeId self() const { return context_.self; }
  Epoch epoch() const { return context_.homes.epoch(); }
  const HomeMap& homes() const { return context_.homes; }
  const Home& home() const { return home_; }
  const Holder& holder() const { return holder_; }
  const Migrations& migrations() const { return migrations_; }
  const Watches& watches() const { return watches_; }
  const Watchers& watchers() const { return watchers_; }

 private:
  // Whether the message still counts: not what a node said before it came back, nor what was said
  // of a bucket before it came to its present home.
  bool Counts(NodeId from, const Message& message) const;
  void Handle(NodeId from, const Message& message);
  // Handles what the engine has to say to itself. Last call of every event.
  void Settle();

  Context context_;
  Holder holder_;
  Home home_;
  Migrations migrations_;
  Watches watches_;
  Watchers watchers_;
  std::deque<std::pair<NodeId, Message>> future_;  // of views that are not installed yet
  std::deque<Operation> unstarted_;                // before the first view
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_ENGINE_H_
