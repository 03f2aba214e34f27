// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/migrations.h"

#include <utility>
#include <vector>

namespace clustix::kddm {

void Migrations::Start(OpId op, const ObjectKey& key, NodeId to) {
  if (!context_.homes.IsMember(to)) {
    context_.out.completions.push_back({.op = op, .status = Status::kUnavailable});
    return;
  }
  asked_[op] = to;
  context_.Send(to, {.kind = Kind::kMigrate, .key = key, .request = op});
}

bool Migrations::Cancel(OpId op) {
  if (asked_.erase(op) == 0) return false;
  context_.out.completions.push_back({.op = op, .status = Status::kCancelled});
  return true;
}

void Migrations::CutOff() {
  Settle();
  for (const auto& [op, to] : std::exchange(asked_, {})) {
    context_.out.completions.push_back({.op = op, .status = Status::kUnavailable});
  }
}

void Migrations::InstallView() {
  std::erase_if(asked_, [this](const auto& asked) {
    if (context_.homes.IsMember(asked.second)) return false;
    context_.out.completions.push_back({.op = asked.first, .status = Status::kUnavailable});
    return true;
  });
}

void Migrations::OnMigrate(NodeId from, const Message& message) {
  const OpId op = next_op_++;
  serving_[op] = {.by = from, .op = message.request, .key = message.key};
  const OpKind kind = IsVolatile(message.key.set) ? OpKind::kGrab : OpKind::kGet;
  holder_.Start({.id = op, .kind = kind, .key = message.key, .hold = false, .data = nullptr});
}

void Migrations::OnMigrated(NodeId from, const Message& message) {
  const auto asked = asked_.find(message.request);
  if (asked == asked_.end() || asked->second != from) return;
  asked_.erase(asked);
  context_.out.completions.push_back({.op = message.request, .status = message.status});
}

void Migrations::Settle() {
  // What is released may be what the next one waits for.
  for (std::vector<Completion> ended = TakeEnded(); !ended.empty(); ended = TakeEnded()) {
    for (const Completion& completion : ended) {
      const auto found = serving_.find(completion.op);
      const Served served = found->second;
      serving_.erase(found);
      const bool none = completion.status == Status::kOk && completion.content == Content::kAbsent;
      Answer(served, none ? Status::kNotFound : completion.status);
      if (completion.status == Status::kOk) holder_.Release(completion.op);  // of a grab
    }
  }
}

std::vector<Completion> Migrations::TakeEnded() {
  std::vector<Completion> ended;
  if (serving_.empty()) return ended;
  std::erase_if(context_.out.completions, [&](const Completion& completion) {
    if (completion.op < kOwnOps) return false;
    ended.push_back(completion);
    return true;
  });
  return ended;
}

void Migrations::Answer(const Served& served, Status status) {
  Message answer{.kind = Kind::kMigrated, .key = served.key, .request = served.op};
  answer.status = status;
  context_.Send(served.by, std::move(answer));
}

}  // namespace clustix::kddm
