// SPDX-License-Identifier: Apache-2.0
//
// A cluster of coherence engines on simulated time: a network that keeps the order of a lane and
// nothing else, an oracle that agrees on views, a shared store behind the linker, and the faults.
// What clients see of it is the business of Program.
//
// What the messenger promises holds here: between two live incarnations every message arrives once,
// in order per lane; when a node dies, any suffix of what it sent is lost.
#ifndef CLUSTIX_TESTS_SIM_KDDM_CLUSTER_H_
#define CLUSTIX_TESTS_SIM_KDDM_CLUSTER_H_

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "lib/base/prng.h"
#include "lib/kddm/engine.h"
#include "lib/kddm/store.h"
#include "tests/sim/kddm/profile.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace clustix::sim {

class Cluster {
 public:
  // Told of what engines tell their clients. `life` counts the incarnations of the node.
  struct Listener {
    virtual ~Listener() = default;
    virtual void OnCompletion(NodeId node, const kddm::Completion& completion) = 0;
    virtual void OnRevoked(NodeId node, kddm::OpId hold) = 0;
    virtual void OnChange(NodeId node, const kddm::Change& change) = 0;
    // Its engine is gone, and with it whatever had not completed.
    virtual void OnDown(NodeId node) = 0;
    virtual void OnUp(NodeId node) = 0;
    // After every event of an engine that was about this object.
    virtual void OnTouched(const kddm::ObjectKey& key) = 0;
  };

  Cluster(const Profile& profile, uint64_t seed, Scheduler& scheduler, Trace& trace,
          Listener& listener);

  // Starts all nodes in view 1.
  void Start();

  kddm::Engine* engine(NodeId node);  // nullptr: down
  size_t nodes() const { return nodes_.size(); }
  // Runs one event of a node's engine and does what it wants done.
  void Feed(NodeId node, const kddm::ObjectKey& key,
            const std::function<void(kddm::Engine&)>& event);

  // Faults.
  void Crash(NodeId node);
  void Restart(NodeId node);
  // Crashes and restarts before the others agree on anything: they take it back in one decision,
  // by a view without it and one with it that each installs at once.
  void Bounce(NodeId node);
  // Its messages are held up until Reconnect(); or, if that is too late, it is cut off, and later
  // comes back like after a crash.
  void Isolate(NodeId node);
  void Reconnect(NodeId node);
  void CutOff(NodeId node);
  bool IsIsolated(NodeId node) const { return nodes_.at(node).isolated; }
  // May be crashed or isolated without leaving nobody.
  std::vector<NodeId> Expendable() const;
  bool InView(NodeId node) const { return view_.contains(node); }

  // Everybody is up, in the last view, and has repaired what had to be repaired.
  bool Settled() const;
  // No message is under way.
  bool Quiet() const;
  // In no run of failures, before the copies that the first ones cost had been made again, have as
  // many nodes failed as there were copies of an object of this set.
  bool Lossless(kddm::SetId set) const;
  // A rule of coherence that does not hold now; empty: all do.
  std::string CheckExclusion(const kddm::ObjectKey& key) const;
  std::string CheckAtRest(const std::vector<kddm::ObjectKey>& keys) const;

  uint64_t messages() const { return messages_; }

 private:
  struct Node {
    std::unique_ptr<kddm::HeapStore> store;
    std::unique_ptr<kddm::Engine> engine;
    uint64_t life = 0;
    bool isolated = false;
    TimeNs last_install = 0;
    std::deque<member::View> views;  // agreed, not installed yet
  };
  struct Channel {
    std::deque<std::pair<TimeNs, kddm::Message>> queue;
    bool scheduled = false;
    uint64_t life_from = 0, life_to = 0;
    TimeNs last = 0;
  };
  using ChannelId = std::tuple<NodeId, NodeId, Lane>;
  struct Stored {
    kddm::Version version = 0;
    kddm::Epoch fence = 0;
    kddm::Data data;
  };

  void Boot(NodeId node);
  void Agree();
  member::View NextView();
  void Announce(NodeId node, member::View view, TimeNs delay);
  void TakeBack(NodeId node);
  void Flush(NodeId node);
  void SendOn(NodeId from, kddm::Sending sending);
  void Kick(const ChannelId& id);
  void DeliverNext(const ChannelId& id);
  // Asked for in the view `epoch`.
  void Work(NodeId node, const kddm::LinkerWork& work, kddm::Epoch epoch);
  void Stop(NodeId node);
  void Down(NodeId node);
  void CountFailure();
  TimeNs Delay();
  size_t LiveMembers() const;

  const Profile& profile_;
  base::Prng prng_;
  Scheduler& scheduler_;
  Trace& trace_;
  Listener& listener_;
  std::map<NodeId, Node> nodes_;
  std::map<ChannelId, Channel> channels_;
  std::set<NodeId> view_;
  kddm::Epoch epoch_ = 0;
  std::map<std::pair<kddm::SetId, kddm::ObjectId>, Stored> linked_;
  size_t failures_ = 0;
  size_t settled_members_ = 0;
  size_t told_shortage_ = 0;        // copies that an object lacks, as homes have said in this view
  std::array<bool, 4> lossy_ = {};  // by number of copies
  uint64_t messages_ = 0;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_KDDM_CLUSTER_H_
