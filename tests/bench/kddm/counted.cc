// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/counted.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace clustix::bench {

Counted::Counted(NodeId nodes) {
  member::View view = {.epoch = 1, .members = {}};
  for (NodeId node = 1; node <= nodes; ++node) {
    view.members.push_back(node);
    nodes_.push_back({.store = std::make_unique<kddm::HeapStore>(), .engine = nullptr});
    // Objects are placed: few hashed buckets will do.
    nodes_.back().engine = std::make_unique<kddm::Engine>(
        node, kddm::EngineConfig{.hash_buckets = 1}, *nodes_.back().store);
  }
  for (NodeId node = 1; node <= nodes; ++node) {
    nodes_[node - 1u].engine->InstallView(view);
    Collect(node, 1);
  }
  Deliver();
}

absl::Status Counted::Do(const Work& work, Histogram*) {
  for (const kddm::ObjectId object : work.objects) {
    const kddm::ObjectKey key = {
        .object = object, .set = kddm::MakeSetId(work.durability, kddm::Placement::kIdBits, 1, 1)};
    const auto value = [&] { return std::make_shared<std::vector<std::byte>>(work.bytes); };
    kddm::Completion ended =
        Run(work.node,
            {.kind = KindOf(work.op), .key = key, .data = work.op == Op::kSet ? value() : nullptr});
    if (work.op == Op::kPut) {
      ended = RunPut(work.node, ended.op, value());
    } else if (work.op == Op::kGrab) {
      const Cost cost = cost_;
      nodes_[work.node - 1u].engine->Release(ended.op);
      Collect(work.node, 1);
      Deliver();
      cost_ = cost;
    }
    const bool absent =
        ended.status == kddm::Status::kNotFound || (work.op == Op::kGet && ended.data == nullptr);
    if (ended.op == 0 || (absent ? !work.absent : ended.status != kddm::Status::kOk)) {
      return absl::InternalError(
          absl::StrCat("an operation of engines ended with ", kddm::StatusName(ended.status)));
    }
  }
  return absl::OkStatus();
}

void Counted::Begin() {
  ++op_;
  cost_ = {};
  completion_ = {};
}

kddm::Completion Counted::Run(NodeId node, kddm::Operation operation) {
  Begin();
  operation.id = op_;
  nodes_[node - 1u].engine->Start(std::move(operation));
  Collect(node, 1);
  Deliver();
  return completion_;
}

kddm::Completion Counted::RunPut(NodeId node, kddm::OpId hold, kddm::Data data) {
  Begin();
  nodes_[node - 1u].engine->Put(op_, hold, std::move(data));
  Collect(node, 1);
  Deliver();
  return completion_;
}

void Counted::Deliver() {
  while (!queue_.empty()) {
    const Queued next = std::move(queue_.front());
    queue_.pop_front();
    ++cost_.messages;
    cost_.bytes += kddm::WireBytes(next.message);
    nodes_[next.to - 1u].engine->Deliver(next.from, next.message);
    Collect(next.to, next.depth + 1);
  }
}

void Counted::Collect(NodeId node, uint64_t depth) {
  kddm::Outbox out = nodes_[node - 1u].engine->TakeOutbox();
  for (kddm::Sending& sending : out.sendings) {
    queue_.push_back(
        {.from = node, .to = sending.to, .message = std::move(sending.message), .depth = depth});
  }
  for (const kddm::Completion& completion : out.completions) {
    if (completion.op != op_) continue;
    completion_ = completion;
    cost_.hops = depth - 1;
  }
}

}  // namespace clustix::bench
