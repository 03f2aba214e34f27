// SPDX-License-Identifier: Apache-2.0
//
// Engines that talk to each other at once and in order, so that a test can tell a story and count
// the messages of it. One thread.
#ifndef CLUSTIX_TESTS_UNIT_KDDM_MESH_H_
#define CLUSTIX_TESTS_UNIT_KDDM_MESH_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/engine.h"
#include "lib/kddm/store.h"

namespace clustix::kddm {

inline constexpr Durability kVolatile = Durability::kVolatile;
inline constexpr Durability kReplicas2 = Durability::kReplicas2;
inline constexpr Durability kReplicas3 = Durability::kReplicas3;
inline constexpr Durability kLinked = Durability::kLinked;

// The kinds of messages, by name.
using Told = std::vector<std::string>;

class Mesh {
 public:
  // Nodes 1 to `nodes`, all in view 1.
  // `budgets`: bytes that a node's store takes, if not any number.
  explicit Mesh(NodeId nodes, std::map<NodeId, size_t> budgets = {})
      : budgets_(std::move(budgets)) {
    for (NodeId node = 1; node <= nodes; ++node) {
      members_.push_back(node);
      Boot(node);
    }
    InstallView();
    Deliver();
  }

  Engine& engine(NodeId node) { return *nodes_.at(node).engine; }

  // The home of the object is `home`, whatever the members: it is placed there.
  static ObjectKey PlacedAt(NodeId home, Durability durability, uint64_t serial = 1) {
    return {.object = static_cast<ObjectId>(home) << 48 | serial,
            .set = MakeSetId(durability, Placement::kIdBits, 1, 1)};
  }
  static Data Text(const std::string& text) {
    auto data = std::make_shared<std::vector<std::byte>>();
    for (const char c : text) data->push_back(static_cast<std::byte>(c));
    return data;
  }

  // Begins an operation and delivers nothing.
  OpId Begin(NodeId node, OpKind kind, const ObjectKey& key, const std::string& text = "") {
    const OpId op = next_op_++;
    engine(node).Start({.id = op,
                        .kind = kind,
                        .key = key,
                        .hold = false,
                        .data = text.empty() ? nullptr : Text(text)});
    Collect(node);
    return op;
  }
  // A get that holds.
  OpId Hold(NodeId node, const ObjectKey& key) {
    const OpId op = next_op_++;
    engine(node).Start({.id = op, .kind = OpKind::kGet, .key = key, .hold = true, .data = nullptr});
    Collect(node);
    Deliver();
    return op;
  }
  OpId BeginPut(NodeId node, OpId hold, const std::string& text) {
    const OpId op = next_op_++;
    engine(node).Put(op, hold, Text(text));
    Collect(node);
    return op;
  }
  OpId Migrate(NodeId node, const ObjectKey& key, NodeId to) {
    const OpId op = next_op_++;
    engine(node).Migrate(op, key, to);
    Collect(node);
    return op;
  }
  // Watches from `first` to `last`, and delivers all that follows.
  OpId Watch(NodeId node, const ObjectKey& first, ObjectId last) {
    const OpId watch = next_op_++;
    engine(node).Watch(watch, {.set = first.set, .first = first.object, .last = last});
    Collect(node);
    Deliver();
    return watch;
  }
  OpId Watch(NodeId node, const ObjectKey& key) { return Watch(node, key, key.object); }
  void Unwatch(NodeId node, OpId watch) {
    engine(node).Unwatch(watch);
    Collect(node);
    Deliver();
  }
  // What the linker was asked for since this was asked last. It does everything at once.
  std::vector<LinkerWork::What> TakeLinkerWorks() { return std::exchange(linker_works_, {}); }
  // From now on the linker has this of itself, whatever is removed; "": nothing.
  void Show(const ObjectKey& key, const std::string& text) {
    shown_.insert(key.object);
    linked_[key.object] = text.empty() ? nullptr : Text(text);
  }
  // What nodes were told of their watches since this was asked last.
  Changes TakeChanges() { return std::exchange(changes_, {}); }
  void Release(NodeId node, OpId hold) {
    engine(node).Release(hold);
    Collect(node);
    Deliver();
  }

  // The same, and delivers all that follows.
  OpId Do(NodeId node, OpKind kind, const ObjectKey& key, const std::string& text = "") {
    const OpId op = Begin(node, kind, key, text);
    Deliver();
    return op;
  }
  std::string Get(NodeId node, const ObjectKey& key) { return Result(Do(node, OpKind::kGet, key)); }
  std::string Set(NodeId node, const ObjectKey& key, const std::string& text) {
    return Result(Do(node, OpKind::kSet, key, text));
  }
  OpId Grab(NodeId node, const ObjectKey& key) { return Do(node, OpKind::kGrab, key); }
  std::string Put(NodeId node, OpId hold, const std::string& text) {
    const OpId op = BeginPut(node, hold, text);
    Deliver();
    return Result(op);
  }

  // What an operation ended with: the value, or the name of the status; "" while it goes on.
  std::string Result(OpId op) const {
    const auto found = completions_.find(op);
    if (found == completions_.end()) return "";
    const Completion& completion = found->second;
    if (completion.status != Status::kOk) return StatusName(completion.status);
    if (completion.data == nullptr) return "ok";
    std::string text;
    for (const std::byte byte : *completion.data) text += static_cast<char>(byte);
    return text;
  }
  const Completion& CompletionOf(OpId op) const { return completions_.at(op); }

  // Delivers the next message; false: there is none.
  bool DeliverOne() { return DeliverAt(queue_.begin()); }
  // Delivers the next message of this kind before all others, as another lane might.
  bool DeliverFirst(Kind kind) {
    return DeliverAt(std::find_if(queue_.begin(), queue_.end(), [kind](const Queued& queued) {
      return std::get<Message>(queued).kind == kind;
    }));
  }
  // The same of one to this node.
  bool DeliverFirst(Kind kind, NodeId to) {
    return DeliverAt(std::find_if(queue_.begin(), queue_.end(), [&](const Queued& queued) {
      return std::get<Message>(queued).kind == kind && std::get<1>(queued) == to;
    }));
  }
  // Delivers all but what is of this kind.
  void DeliverAllBut(Kind kind) {
    while (DeliverAt(std::find_if(queue_.begin(), queue_.end(), [kind](const Queued& queued) {
      return std::get<Message>(queued).kind != kind;
    }))) {
    }
  }
  // Delivers in order, up to and with the next message of this kind.
  bool DeliverUntilTold(Kind kind) {
    told_.clear();
    while (told_.empty() || told_.back() != KindName(kind)) {
      if (!DeliverOne()) return false;
    }
    return true;
  }
  void Deliver() {
    while (DeliverOne()) {
    }
  }
  // Delivers until `op` has ended and returns what was said until then.
  std::vector<std::string> DeliverUntilEnd(OpId op) {
    told_.clear();
    while (!completions_.contains(op) && DeliverOne()) {
    }
    return told_;
  }
  // Delivers all, and returns what was said.
  std::vector<std::string> DeliverAll() {
    told_.clear();
    Deliver();
    return told_;
  }

  // Nodes crash and others join, all in one view.
  void Change(const std::vector<NodeId>& crashed, const std::vector<NodeId>& joined) {
    for (const NodeId node : crashed) {
      nodes_.erase(node);
      std::erase(members_, node);
    }
    for (const NodeId node : joined) {
      members_.push_back(node);
      Boot(node);
    }
    std::sort(members_.begin(), members_.end());
    InstallView();
  }
  // Crashes nodes at once; the others go on in a view without them.
  void Crash(const std::vector<NodeId>& nodes) {
    Change(nodes, {});
    Deliver();
  }
  void Join(NodeId node) {
    Change({}, {node});
    Deliver();
  }

  // The node lacks memory: drops what it can, and asks homes to do without the rest.
  void Squeeze(NodeId node) {
    engine(node).MakeRoom(SIZE_MAX);
    Collect(node);
  }
  // The same, until nothing more is dropped.
  void SqueezeOut(NodeId node) {
    for (int round = 0; round < 3; ++round) {
      Squeeze(node);
      Deliver();
    }
  }
  bool Holds(NodeId node, const ObjectKey& key) {
    const Copy* copy = engine(node).holder().Find(key);
    return copy != nullptr && copy->content == Content::kData;
  }

  // How many nodes hold the value that is current.
  size_t Copies(const ObjectKey& key) {
    std::map<Version, size_t> holders;
    for (auto& [id, node] : nodes_) {
      const Copy* copy = node.engine->holder().Find(key);
      if (copy != nullptr && copy->content == Content::kData) ++holders[copy->version];
    }
    return holders.empty() ? 0 : holders.rbegin()->second;
  }

 private:
  struct Node {
    std::unique_ptr<HeapStore> store;
    std::unique_ptr<Engine> engine;
  };

  using Queued = std::tuple<NodeId, NodeId, Message>;

  bool DeliverAt(std::deque<Queued>::iterator at) {
    if (at == queue_.end()) return false;
    const auto [from, to, message] = std::move(*at);
    queue_.erase(at);
    const auto target = nodes_.find(to);
    if (target == nodes_.end() || !nodes_.contains(from)) return true;
    told_.push_back(KindName(message.kind));
    target->second.engine->Deliver(from, message);
    Collect(to);
    return true;
  }
  void Boot(NodeId node) {
    Node& booted = nodes_[node];
    const auto budget = budgets_.find(node);
    booted.store = budget == budgets_.end() ? std::make_unique<HeapStore>()
                                            : std::make_unique<HeapStore>(budget->second);
    booted.engine = std::make_unique<Engine>(
        node, EngineConfig{.hash_buckets = 16, .placed_nodes = 32}, *booted.store);
  }
  void InstallView() {
    ++epoch_;
    for (const NodeId node : members_) {
      engine(node).InstallView({.epoch = epoch_, .members = members_});
      Collect(node);
    }
  }
  void Collect(NodeId node) {
    Outbox out = engine(node).TakeOutbox();
    for (Sending& sending : out.sendings) {
      queue_.emplace_back(node, sending.to, std::move(sending.message));
    }
    for (const Completion& completion : out.completions) {
      EXPECT_TRUE(completions_.emplace(completion.op, completion).second)
          << "operation " << completion.op << " ended twice";
    }
    for (const LinkerWork& work : out.linker_works) {
      linker_works_.push_back(work.what);
      Data& linked = linked_[work.key.object];
      const bool writes =
          work.what == LinkerWork::What::kExport || work.what == LinkerWork::What::kRemove;
      if (writes && !shown_.contains(work.key.object)) linked = work.data;
      engine(node).LinkerDone(work.key, work.token, true, linked);
      Collect(node);
    }
    changes_.insert(changes_.end(), out.changes.begin(), out.changes.end());
  }

  const std::map<NodeId, size_t> budgets_;
  std::map<NodeId, Node> nodes_;
  std::vector<NodeId> members_;
  uint32_t epoch_ = 0;
  std::deque<Queued> queue_;
  std::map<OpId, Completion> completions_;
  std::map<ObjectId, Data> linked_;
  std::set<ObjectId> shown_;
  std::vector<LinkerWork::What> linker_works_;
  Changes changes_;
  std::vector<std::string> told_;
  OpId next_op_ = 1;
};

// An object whose home is node 1, with the value "x", which `writer` has set.
inline ObjectKey Written(Mesh& mesh, NodeId writer, Durability durability) {
  const ObjectKey key = Mesh::PlacedAt(1, durability);
  EXPECT_EQ(mesh.Set(writer, key, "x"), "x");
  return key;
}

}  // namespace clustix::kddm

#endif  // CLUSTIX_TESTS_UNIT_KDDM_MESH_H_
