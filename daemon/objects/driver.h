// SPDX-License-Identifier: Apache-2.0
//
// Runs one coherence engine: brings it messages, operations, timers and the view, and does what it
// says. Everything that a daemon has of objects, for programs and for its own services alike, is
// asked for here.
//
// Before the first view operations wait. What one waits for may take as long as a node is away that
// has to do with it, until that is taken back: only its time limit ends it before. The loop's
// thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_DRIVER_H_
#define CLUSTIX_DAEMON_OBJECTS_DRIVER_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "clustix/messenger.h"
#include "daemon/objects/channel.h"
#include "daemon/objects/contention.h"
#include "daemon/objects/deadlines.h"
#include "daemon/objects/hold_timers.h"
#include "daemon/objects/view_keeper.h"
#include "lib/io/io.h"
#include "lib/kddm/engine.h"
#include "lib/kddm/store.h"

namespace clustix::daemon {

// Who asks for operations.
class ObjectUser {
 public:
  virtual ~ObjectUser() = default;
  // An operation has ended; `token` is what came with it. May run within the call that began it.
  virtual void OnDone(uint64_t token, const kddm::Completion& completion) = 0;
  // Something has changed in the range of a watch; `token` is what came with it.
  virtual void OnChange(uint64_t, const kddm::Change&) {}
  // A hold of this user has ended by force.
  virtual void OnRevoked(kddm::OpId) {}
};

class Driver {
 public:
  struct Options {
    ViewKeeper::Options view;
    // How long a hold may keep others waiting.
    uint64_t max_hold_ms = 10'000;
  };
  using Done = std::function<void(const kddm::Completion&)>;
  using LinkerHook = std::function<void(const kddm::LinkerWork&)>;

  // All must outlive it, but see Stop().
  Driver(io::Loop& loop, Messenger& messenger, kddm::Store& store, const Options& options);
  void Start();
  // Ends all operations. From then on the messenger may go.
  void Stop();
  void OnPeerEvent(NodeId peer, PeerEvent event);
  // Who does the work of linkers, and answers with LinkerDone(). Before Start().
  void SetLinker(LinkerHook hook) { linker_ = std::move(hook); }
  void LinkerDone(const kddm::LinkerWork& work, bool ok, const kddm::Data& data);
  // What is told of holds that others wait for, for who can end them early. Before Start().
  struct HoldHooks {
    // Somebody begins to wait for the holds of this object to end.
    std::function<void(const kddm::ObjectKey&)> wanted;
    // Holds that somebody waits for have lasted for max_hold_ms, and end by force after this call.
    std::function<void(const kddm::ObjectKey&)> overdue;
    // Some node has begun to watch objects.
    std::function<void()> watched;
  };
  void SetHoldHooks(HoldHooks hooks) { hold_hooks_ = std::move(hooks); }
  // Called when a view has begun to hold.
  void OnViewChange(std::function<void()> callback) { on_view_change_ = std::move(callback); }

  // Begins an operation, whose id (`operation.id`) is drawn here. `timeout_ms` 0: no limit. A grab,
  // or a get that holds, that ends with kOk holds until Put() or Release().
  kddm::OpId Begin(kddm::Operation operation, uint64_t timeout_ms, ObjectUser* user,
                   uint64_t token);
  // The same for a service of the daemon. `done` runs exactly once.
  kddm::OpId Begin(kddm::Operation operation, uint64_t timeout_ms, Done done);
  kddm::OpId Put(kddm::OpId hold, kddm::Data data, uint64_t timeout_ms, ObjectUser* user,
                 uint64_t token);
  kddm::OpId Put(kddm::OpId hold, kddm::Data data, uint64_t timeout_ms, Done done);
  void Release(kddm::OpId hold);
  // See kddm::Engine::Migrate.
  kddm::OpId Migrate(const kddm::ObjectKey& key, NodeId to, uint64_t timeout_ms, ObjectUser* user,
                     uint64_t token);
  // See kddm::Engine::Cancel.
  void Cancel(kddm::OpId op);
  // The user is gone: nothing is said to it any more. Ends what the operation does; if it is a
  // hold, or becomes one, that ends, too.
  void Abandon(kddm::OpId op);

  // See kddm::Engine::Watch. OnDone() says that it has begun, and again that it has ended, unless
  // by Unwatch(): then nothing is said any more.
  kddm::OpId Watch(const kddm::WatchRange& range, ObjectUser* user, uint64_t token);
  void Unwatch(kddm::OpId watch);

  // A small message to a member, or to each other one: how many these are.
  void Tell(NodeId to, Port port, Bytes bytes);
  size_t TellMembers(Port port, Bytes bytes);

  const kddm::Engine& engine() const { return engine_; }
  const ViewKeeper& view() const { return view_; }
  // Of the objects whose home is this node.
  const Contention& contention() const { return contention_; }
  const Channel::Counters& channel_counters() const { return channel_.counters(); }
  size_t operations() const { return ops_.size(); }

 private:
  struct Op {
    ObjectUser* user = nullptr;  // nullptr: `done`, or nobody
    uint64_t token = 0;
    Done done = nullptr;
    uint64_t deadline = 0;  // of Deadlines; 0: none
    bool watches = false;
    bool may_hold = false;
    bool holds = false;
  };

  kddm::OpId Enter(Op op, uint64_t timeout_ms);
  void PassDeadline(kddm::OpId id);
  void PassHold(const kddm::HoldTimer& timer);
  kddm::OpId BeginAs(kddm::Operation operation, uint64_t timeout_ms, Op op);
  kddm::OpId PutAs(kddm::OpId hold, kddm::Data data, uint64_t timeout_ms, Op op);
  void Install(const member::View& view);
  void Receive(NodeId from, const kddm::Message& message);
  // Does what the engine wants. Last call of every event.
  void Flush();
  void Do(kddm::Outbox outbox);
  void Complete(const kddm::Completion& completion);

  io::Loop& loop_;
  const Options options_;
  kddm::Engine engine_;
  Channel channel_;
  Contention contention_;
  ViewKeeper view_;
  LinkerHook linker_;
  HoldHooks hold_hooks_;
  std::function<void()> on_view_change_;
  Deadlines deadlines_;
  HoldTimers hold_timers_;
  absl::flat_hash_map<kddm::OpId, Op> ops_;              // that have not ended, and holds
  std::vector<std::pair<NodeId, kddm::Message>> early_;  // before the first view
  kddm::OpId next_op_ = 1;
  uint64_t watches_seen_ = 0;  // kddm::Watchers::begun()
  bool flushing_ = false;
  bool stopped_ = false;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_DRIVER_H_
