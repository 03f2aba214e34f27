// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/messages.h"

#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "lib/kddm/engine.h"
#include "lib/kddm/message.h"
#include "lib/kddm/store.h"
#include "tests/sim/run.h"

namespace clustix::sim {
namespace {

using kddm::Durability, kddm::OpKind;

constexpr NodeId kHome = 1, kWriter = 2, kReader = 3;

class Nodes {
 public:
  explicit Nodes(NodeId count) {
    member::View view{.epoch = 1, .members = {}};
    for (NodeId node = 1; node <= count; ++node) {
      view.members.push_back(node);
      Node& booted = nodes_[node];
      booted.engine = std::make_unique<kddm::Engine>(node, kConfig, booted.store);
    }
    for (auto& [id, node] : nodes_) {
      node.engine->InstallView(view);
      Collect(id, 0);
    }
    Deliver();
  }

  // Begins an operation and delivers all that follows.
  MessageCost Do(const char* name, NodeId node, OpKind kind, const kddm::ObjectKey& key) {
    Begin();
    nodes_.at(node).engine->Start(
        {.id = ++last_op_, .kind = kind, .key = key, .hold = false, .data = Value()});
    Collect(node, 0);
    return End(name);
  }
  MessageCost Put(const char* name, NodeId node) {
    Begin();
    const kddm::OpId hold = last_op_++;
    nodes_.at(node).engine->Put(last_op_, hold, Value());
    Collect(node, 0);
    return End(name);
  }
  void Release(NodeId node) {
    nodes_.at(node).engine->Release(last_op_);
    Collect(node, 0);
    Deliver();
  }

 private:
  // Few buckets, so that many nodes cost little: an operation has to do with one of them.
  static constexpr kddm::EngineConfig kConfig = {.hash_buckets = 16, .placed_nodes = 8};

  struct Node {
    kddm::HeapStore store;
    std::unique_ptr<kddm::Engine> engine;
  };
  struct Queued {
    NodeId from = 0, to = 0;
    size_t hop = 0;
    kddm::Message message;
  };

  static kddm::Data Value() {
    return std::make_shared<const std::vector<std::byte>>(kCostedBytes, std::byte{7});
  }
  void Begin() { cost_ = {}; }
  MessageCost End(const char* name) {
    Deliver();
    cost_.operation = name;
    return cost_;
  }
  void Deliver() {
    while (!queue_.empty()) {
      const Queued next = std::move(queue_.front());
      queue_.pop_front();
      nodes_.at(next.to).engine->Deliver(next.from, next.message);
      Collect(next.to, next.hop);
    }
  }
  // `hop`: of the message that was handled, 0 if there was none.
  void Collect(NodeId node, size_t hop) {
    kddm::Outbox out = nodes_.at(node).engine->TakeOutbox();
    for (kddm::Sending& sending : out.sendings) {
      ++cost_.messages;
      cost_.bytes += kddm::WireBytes(sending.message);
      queue_.push_back({node, sending.to, hop + 1, std::move(sending.message)});
    }
    if (!out.completions.empty()) cost_.hops = hop;
  }

  std::map<NodeId, Node> nodes_;
  std::deque<Queued> queue_;
  MessageCost cost_;
  kddm::OpId last_op_ = 0;
};

kddm::ObjectKey KeyOf(Durability durability, uint64_t serial) {
  return {.object = static_cast<kddm::ObjectId>(kHome) << 48 | serial,
          .set = kddm::MakeSetId(durability, kddm::Placement::kIdBits, kHome, 1)};
}

void MeasureReplicated(Nodes& nodes, std::vector<MessageCost>& costs) {
  const kddm::ObjectKey key = KeyOf(Durability::kReplicas2, 1);
  auto add = [&costs](const MessageCost& cost) { costs.push_back(cost); };
  add(nodes.Do("first touch", kWriter, OpKind::kTouch, key));
  add(nodes.Do("get, not here", kReader, OpKind::kGet, key));
  add(nodes.Do("get, here", kReader, OpKind::kGet, key));
  add(nodes.Do("get, at home", kHome, OpKind::kGet, key));
  add(nodes.Do("grab, two readers beside the home", kWriter, OpKind::kGrab, key));
  add(nodes.Put("put", kWriter));
  add(nodes.Do("grab, here alone", kWriter, OpKind::kGrab, key));
  nodes.Release(kWriter);
  add(nodes.Do("get, exclusive elsewhere", kReader, OpKind::kGet, key));
  add(nodes.Do("set, another node wrote last", kReader, OpKind::kSet, key));
  add(nodes.Do("remove, nobody else has it", kReader, OpKind::kRemove, key));
}

void MeasureVolatile(Nodes& nodes, std::vector<MessageCost>& costs) {
  const kddm::ObjectKey key = KeyOf(Durability::kVolatile, 2);
  auto add = [&costs](const MessageCost& cost) { costs.push_back(cost); };
  add(nodes.Do("volatile: first touch", kWriter, OpKind::kTouch, key));
  add(nodes.Do("volatile: set, exclusive here", kWriter, OpKind::kSet, key));
  add(nodes.Do("volatile: get, exclusive elsewhere", kReader, OpKind::kGet, key));
  add(nodes.Do("volatile: grab, one reader beside the home", kWriter, OpKind::kGrab, key));
  add(nodes.Put("volatile: put", kWriter));
  add(nodes.Do("volatile: grab, exclusive elsewhere", kReader, OpKind::kGrab, key));
  nodes.Release(kReader);
  add(nodes.Do("volatile: remove, exclusive here", kReader, OpKind::kRemove, key));
}

}  // namespace

std::vector<MessageCost> CostsOf(NodeId count) {
  Nodes nodes(count);
  std::vector<MessageCost> costs;
  MeasureReplicated(nodes, costs);
  MeasureVolatile(nodes, costs);
  return costs;
}

std::string MessageTable() {
  std::string table = "| operation | nodes | hops | messages | bytes |\n|---|---|---|---|---|\n";
  for (const NodeId nodes : {3, 16, 128, 1024}) {
    for (const MessageCost& cost : CostsOf(nodes)) {
      char line[160];
      std::snprintf(line, sizeof(line), "| %s | %u | %zu | %zu | %zu |\n", cost.operation.c_str(),
                    nodes, cost.hops, cost.messages, cost.bytes);
      table += line;
    }
  }
  return table;
}

}  // namespace clustix::sim
